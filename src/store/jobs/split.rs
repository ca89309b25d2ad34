//! Splits a job into several: they wait, know their parent, and are never mixed with packed conversations.

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
    /// Upstream refused it as wrong, perhaps for one id: each half finds out for itself.
    Invalid(&'a Value),
    /// Upstream protects some of it and names no id: the second half waits for the answer to the first.
    Conflict(&'a Value),
    /// It was lost several times in a row, perhaps for one id: each half has its own window, and is rechecked before
    /// its submit.
    Lost,
}

/// How a job comes from its parent.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) parent: Uuid,
    /// It is rechecked before its submit.
    pub(super) is_recheck: bool,
    /// It is a piece of the parent's search, or of the one that begins with the parent.
    pub(super) is_piece: bool,
    /// The piece whose answer it waits for.
    pub(super) after: Option<Uuid>,
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
    let (result, error) = match cause {
        Cause::Invalid(error) | Cause::Conflict(error) => (JobResult::Rejected, Some(error)),
        Cause::Lost => (JobResult::Lost, None),
    };
    let Some((first, second)) = halves(carried) else {
        return Err(StoreError::Unreadable {
            what: "batch to halve",
            detail: format!("job {} has one id", job.id),
        });
    };
    let is_search = matches!(cause, Cause::Conflict(_));
    let origin = Origin {
        parent: job.id,
        is_recheck: matches!(cause, Cause::Lost),
        is_piece: is_search || job.is_piece,
        after: None,
    };
    let tried = branch(store, tx, org, parts, first, origin).await?;
    let after = is_search.then_some(tried);
    branch(store, tx, org, parts, second, Origin { after, ..origin }).await?;
    ending::finish(tx, job.id, result, error).await
}

/// Makes a waiting job from some conversations of its parent, and hands their ids on to it.
pub(super) async fn branch(
    store: &Store,
    tx: &mut Tx,
    org: &str,
    parts: &Parts,
    some: &[(Place, Uuid)],
    origin: Origin,
) -> Result<Uuid, StoreError> {
    let child = store.new_id();
    insert_child(tx, child, origin).await?;
    parts::store(tx, child, &parts::some_of(parts, some)).await?;
    let ids: Vec<Uuid> = some.iter().map(|(_, id)| *id).collect();
    pack::set_ids(tx, child, &ids).await?;
    hand_on(tx, org, origin.parent, child, &ids).await?;
    Ok(child)
}

async fn insert_child(tx: &mut Tx, child: Uuid, origin: Origin) -> Result<(), StoreError> {
    sqlx::query!(
        "-- insert_child
        insert into jobs (id, org, ids, size, parent, recheck, rechecked, lost_since, losses, search, after)
        select $1, org, '{}', 0, id, $3, rechecked, lost_since, losses, case when $4 then coalesce(search, id) end, $5
        from jobs
        where id = $2",
        child,
        origin.parent,
        origin.is_recheck,
        origin.is_piece,
        origin.after
    )
    .exactly(tx, 1)
    .await
}

/// Has another job carry these ids.
pub(super) async fn hand_on(
    tx: &mut Tx,
    org: &str,
    from: Uuid,
    to: Uuid,
    ids: &[Uuid],
) -> Result<(), StoreError> {
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
