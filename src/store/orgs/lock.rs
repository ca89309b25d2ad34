//! The org's lock: intents are committed under it, and so is everything that forbids them.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;

use super::hurdle::{Hurdle, blocks_facts};
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// An org under lock.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub(in crate::store) struct LockedOrg {
    pub(in crate::store) policy_epoch: i64,
    /// Until then a submit may have been at work that a database which went back in time has forgotten.
    pub(in crate::store) intents_from: Option<Timestamp>,
    /// It is stopped, or was a moment ago for what may be missing in the database; or it is blocked, and the next try is not
    /// due, or is not one of submitting.
    pub(in crate::store) is_shut: bool,
    pub(in crate::store) is_blocked: bool,
    /// Upstream refuses it, and this is the try that is let through.
    pub(in crate::store) is_probe: bool,
    /// It is blocked because too many of its jobs conflicted.
    pub(in crate::store) has_too_many_conflicts: bool,
    /// The database's time once the lock was held.
    pub(in crate::store) now: Timestamp,
}

/// Takes the lock: the first statement of its transaction, alone.
pub(in crate::store) async fn lock(tx: &mut Tx, org: &str) -> Result<LockedOrg, StoreError> {
    let row = sqlx::query!(
        r#"-- lock_org
        select policy_epoch, blocked_call, probe_at as "probe_at: SqlTimestamp", stopped_at is not null as "is_stopped!",
               intents_from as "intents_from: SqlTimestamp",
               -- Looked for only if it is blocked: most transactions under this lock need not know.
               case when blocked_call is not null then coalesce(
                   (select true from purges_asked_for_slots where org = $1 order by ask_at, id limit 1),
                   (select true from purges_asked_first where org = $1 order by ask_at, id limit 1),
                   (select true from slices where org = $1 and state = 'validating' order by lease_until limit 1),
                   false
               ) else false end as "has_questions!"
        from orgs
        where name = $1
        for no key update"#,
        org
    )
    .one(tx)
    .await?;
    let now = tx.now().await?;
    let [probe_at, intents_from] = [row.probe_at, row.intents_from].map(|at| at.map(SqlTimestamp::to_jiff));
    Ok(LockedOrg {
        policy_epoch: row.policy_epoch,
        intents_from,
        is_shut: row.is_stopped
            || intents_from.is_some_and(|from| from > now)
            || probe_at.is_some_and(|probe_at| probe_at > now)
            || row.has_questions && row.blocked_call.as_deref().is_some_and(blocks_facts),
        has_too_many_conflicts: row.blocked_call.as_deref() == Some(Hurdle::Conflicts.as_str()),
        is_blocked: probe_at.is_some(),
        is_probe: probe_at.is_some_and(|probe_at| probe_at <= now),
        now,
    })
}
