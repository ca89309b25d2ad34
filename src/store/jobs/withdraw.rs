//! Takes purges out of the jobs that wait for their intent, when they are paused or canceled.
//!
//! Under the org's lock, in the transaction of the act: from its answer on no waiting job holds any of them back.
//! There may be thousands of such jobs, split off refused ones, so all are handled at once.

use std::collections::HashSet;

use uuid::Uuid;

use super::parts::{self, Parts};
use super::{ending, pack, reserve};
use crate::domain::outcome::Outcome;
use crate::domain::reason::{Step, codes};
use crate::domain::state::JobResult;
use crate::domain::verdict::when_canceled;
use crate::store::StoreError;
use crate::store::slices::SliceKey;
use crate::store::slices::patch::Patch;
use crate::store::tx::{Rows as _, Tx};

/// A locked waiting job with conversations of these purges.
pub(in crate::store) struct Waiting {
    job: Uuid,
    ids: Vec<Uuid>,
    /// After a conflict or a lost submit: its facts from before count no more.
    is_doubtful: bool,
    parts: Parts,
}

/// Why purges leave their jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Leave {
    /// They are paused: conversations that leave stay eligible, or are queried again.
    Paused,
    /// They end: conversations that leave get an outcome, unless they have one.
    Canceled,
}

/// The waiting jobs that carry some of the purges, locked, and the slices that leaving them touches.
pub(in crate::store) async fn waiting_with(
    tx: &mut Tx,
    org: &str,
    purges: &[Uuid],
) -> Result<(Vec<Waiting>, Vec<SliceKey>), StoreError> {
    let rows = sqlx::query!(
        r#"-- waiting_jobs_with
        select id, ids as "ids!", recheck or rechecked or lost_since is not null as "is_doubtful!"
        from jobs j
        where org = $1 and state = 'waiting'
          and exists (select from job_parts where job_id = j.id and purge_id = any($2))
        order by id
        for update"#,
        org,
        purges
    )
    .all(tx)
    .await?;
    let jobs: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut parts = parts::load_all(tx, &jobs).await?;
    let (mut keys, mut waiting) = (Vec::new(), Vec::with_capacity(rows.len()));
    for row in rows {
        let parts = parts.remove(&row.id).unwrap_or_default();
        keys.extend(parts.keys().filter(|key| purges.contains(&key.purge)));
        waiting.push(Waiting { job: row.id, ids: row.ids, is_doubtful: row.is_doubtful, parts });
    }
    Ok((waiting, keys))
}

/// Locks these slices for a withdrawal from the jobs.
pub(in crate::store) async fn lock(
    tx: &mut Tx,
    step: Step,
    waiting: &[Waiting],
    keys: Vec<SliceKey>,
) -> Result<Patch, StoreError> {
    parts::lock(tx, step, None, keys, waiting.iter().map(|waiting| &waiting.parts)).await
}

/// Takes the purges out of these jobs, whose slices are locked. A job that is emptied is over.
pub(in crate::store) async fn withdraw(
    tx: &mut Tx,
    patch: &mut Patch,
    org: &str,
    purges: &[Uuid],
    waiting: Vec<Waiting>,
    why: Leave,
) -> Result<(), StoreError> {
    let (mut jobs, mut emptied, mut left, mut left_out) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Waiting { job, mut ids, is_doubtful, mut parts } in waiting {
        let own: Parts = parts
            .iter()
            .filter(|(key, _)| purges.contains(&key.purge))
            .map(|(key, part)| (*key, part.clone()))
            .collect();
        let leaving = parts::with_ids(&own, patch);
        for (place, _) in &leaving {
            let Some(cell) = patch.cell(*place).filter(|cell| cell.outcome == Outcome::Eligible) else {
                continue;
            };
            let next = match why {
                Leave::Canceled => Some(when_canceled(cell.marks)),
                Leave::Paused if is_doubtful => Some((Outcome::Pending, codes::FACTS_STALE)),
                Leave::Paused => None,
            };
            if let Some((outcome, reason)) = next {
                patch.decide(*place, Outcome::Eligible, outcome, reason)?;
            }
        }
        reserve::give_back(patch, &parts, &leaving)?;
        parts::remove(&mut parts, &leaving);
        let own_left_out = parts::take_left_out(&mut parts, patch);
        let gone: HashSet<Uuid> =
            leaving.iter().map(|(_, id)| *id).chain(own_left_out.iter().copied()).collect();
        ids.retain(|id| !gone.contains(id));
        if ids.is_empty() {
            emptied.push(job);
        } else {
            parts::store(tx, job, &parts).await?;
            pack::set_ids(tx, job, &ids).await?;
        }
        jobs.push(job);
        left.extend(leaving);
        left_out.extend(own_left_out);
    }
    if jobs.is_empty() {
        return Ok(());
    }
    reserve::let_go(tx, org, &jobs, &left).await?;
    reserve::let_go_left_out(tx, org, &jobs, &left_out).await?;
    parts::drop_all(tx, &emptied).await?;
    ending::finish_all(tx, &emptied, JobResult::Withdrawn, None).await
}
