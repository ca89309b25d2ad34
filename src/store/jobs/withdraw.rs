//! Takes a purge out of the jobs that wait for their intent, when it is paused or canceled.
//!
//! Under the org's lock, in the transaction of the act: from its answer on no waiting job holds any of it back.

use std::collections::HashSet;

use uuid::Uuid;

use super::parts::{self, Parts};
use super::{finish, pack, reserve};
use crate::domain::outcome::Outcome;
use crate::domain::reason::Reason;
use crate::domain::state::JobResult;
use crate::store::StoreError;
use crate::store::slices::SliceKey;
use crate::store::slices::patch::Patch;
use crate::store::tx::Tx;

/// A waiting job under lock that carries some of the purge.
pub(in crate::store) struct Waiting {
    job: Uuid,
    ids: Vec<Uuid>,
    parts: Parts,
}

/// The waiting jobs that carry some of the purge, locked, and the slices that leaving them touches.
pub(in crate::store) async fn waiting_with(
    tx: &mut Tx,
    org: &str,
    purge: Uuid,
) -> Result<(Vec<Waiting>, Vec<SliceKey>), StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query!(
        r#"-- waiting_jobs_with
        select id, ids as "ids!"
        from jobs j
        where org = $1 and state = 'waiting'
          and exists (select from job_parts where job_id = j.id and purge_id = $2)
        order by id
        for update"#,
        org,
        purge
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(failed)?;
    let (mut waiting, mut keys) = (Vec::new(), Vec::new());
    for row in rows {
        let parts = parts::load(tx, row.id).await?;
        keys.extend(parts.keys().filter(|key| key.purge == purge));
        keys.extend(reserve::slices_waiting_for(tx, row.id).await?);
        waiting.push(Waiting { job: row.id, ids: row.ids, parts });
    }
    Ok((waiting, keys))
}

/// Takes the purge out of these jobs, whose slices are locked; `outcome` is what becomes of its conversations, which
/// otherwise stay eligible. A job that is emptied is over.
pub(in crate::store) async fn withdraw(
    tx: &mut Tx,
    patch: &mut Patch,
    org: &str,
    purge: Uuid,
    waiting: Vec<Waiting>,
    outcome: Option<(Outcome, Reason)>,
) -> Result<(), StoreError> {
    for Waiting { job, mut ids, mut parts } in waiting {
        let own: Parts = parts
            .iter()
            .filter(|(key, _)| key.purge == purge)
            .map(|(key, part)| (*key, part.clone()))
            .collect();
        let leaving = parts::with_ids(&own, patch);
        if let Some((outcome, reason)) = &outcome {
            for (place, _) in &leaving {
                patch.decide(*place, Outcome::Eligible, *outcome, reason.clone())?;
            }
        }
        reserve::release(tx, patch, org, job, &parts, &leaving).await?;
        parts::remove(&mut parts, &leaving);
        parts::store(tx, job, &parts).await?;
        let left: HashSet<Uuid> = leaving.iter().map(|(_, id)| *id).collect();
        ids.retain(|id| !left.contains(id));
        if ids.is_empty() {
            finish::finish(tx, job, JobResult::Withdrawn, None).await?;
        } else {
            pack::set_ids(tx, job, &ids).await?;
        }
    }
    Ok(())
}
