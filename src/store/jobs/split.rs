//! Halves a job: its children wait, remember their parent, and are never mixed with others.

use serde_json::Value;
use uuid::Uuid;

use super::lease::LockedJob;
use super::parts::{self, Parts};
use super::{ending, pack};
use crate::domain::packing::halves;
use crate::domain::state::JobResult;
use crate::store::slices::Place;
use crate::store::tx::{Tx, Writes as _};
use crate::store::{Store, StoreError};

/// Why a batch goes on in halves.
#[derive(Clone, Copy)]
pub(super) enum Cause<'a> {
    /// Upstream refused it, perhaps for one id: each half finds out for itself.
    Refused(&'a Value),
    /// It was lost several times in a row, perhaps for one id: each half has a window of its own, and is looked at afresh
    /// before it goes.
    Lost,
}

/// Hands the ids of a job on to two children, and ends it.
pub(super) async fn split(
    store: &Store,
    tx: &mut Tx,
    org: &str,
    job: &LockedJob,
    parts: &Parts,
    carried: &[(Place, Uuid)],
    cause: Cause<'_>,
) -> Result<(), StoreError> {
    let (is_recheck, result, error) = match cause {
        Cause::Refused(error) => (false, JobResult::Rejected, Some(error)),
        Cause::Lost => (true, JobResult::Lost, None),
    };
    let Some((first, second)) = halves(carried) else {
        return Err(StoreError::Unreadable {
            what: "batch to halve",
            detail: format!("job {} has one id", job.id),
        });
    };
    for half in [first, second] {
        let child = store.new_id();
        insert_child(tx, child, job.id, is_recheck).await?;
        let mut own = Parts::new();
        for (place, _) in half {
            let part = own.entry(place.slice).or_default();
            part.positions.insert(place.position);
            part.facts = parts.get(&place.slice).and_then(|part| part.facts);
            if parts.get(&place.slice).is_some_and(|part| part.carried_before.contains(&place.position)) {
                part.carried_before.insert(place.position);
            }
        }
        parts::store(tx, child, &own).await?;
        let ids: Vec<Uuid> = half.iter().map(|(_, id)| *id).collect();
        pack::set_ids(tx, child, &ids).await?;
        hand_on(tx, org, job.id, child, &ids).await?;
    }
    ending::finish(tx, job.id, result, error).await
}

async fn insert_child(tx: &mut Tx, child: Uuid, parent: Uuid, is_recheck: bool) -> Result<(), StoreError> {
    sqlx::query!(
        "-- insert_child
        insert into jobs (id, org, ids, size, parent, recheck, rechecked, lost_since, losses)
        select $1, org, '{}', 0, id, $3, rechecked, lost_since, losses from jobs where id = $2",
        child,
        parent,
        is_recheck
    )
    .exactly(tx, 1)
    .await
}

async fn hand_on(tx: &mut Tx, org: &str, from: Uuid, to: Uuid, ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- hand_on
        update reservations set job_id = $3 where org = $1 and job_id = $2 and conversation_id = any($4)",
        org,
        from,
        to,
        ids
    )
    .exactly(tx, ids.len())
    .await
}
