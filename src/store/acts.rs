//! The last act of each kind on a purge or an org: who did it, when and why. It stays when another act has undone it;
//! the events have all acts.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::StoreError;
use super::events::Actor;
use super::tx::{Tx, Writes as _};
use crate::domain::act::{Act, OrgAct};

/// An act.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Done<A> {
    pub act: A,
    /// The name of the key, or `engine`.
    pub by: String,
    /// The reason, if one was given.
    pub reason: Option<String>,
    pub at: Timestamp,
}

/// Notes an act on a purge, whose row is locked.
pub(super) async fn note(
    tx: &mut Tx,
    purge: Uuid,
    act: Act,
    actor: Actor<'_>,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "-- note_act
        insert into purge_acts (purge_id, act, actor, reason, at)
        values ($1, $2, $3, $4, clock_timestamp())
        on conflict (purge_id, act) do update
        set actor = excluded.actor, reason = excluded.reason, at = excluded.at",
        purge,
        act.as_str(),
        actor.name,
        reason
    )
    .exactly(tx, 1)
    .await
}

/// Notes an act on an org, whose row is locked.
pub(super) async fn note_of_org(
    tx: &mut Tx,
    org: &str,
    act: OrgAct,
    actor: Actor<'_>,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "-- note_org_act
        insert into org_acts (org, act, actor, reason, at)
        values ($1, $2, $3, $4, clock_timestamp())
        on conflict (org, act) do update
        set actor = excluded.actor, reason = excluded.reason, at = excluded.at",
        org,
        act.as_str(),
        actor.name,
        reason
    )
    .exactly(tx, 1)
    .await
}

/// Reads the acts that a statement has put together.
pub(super) fn read<A: DeserializeOwned>(acts: Value) -> Result<Vec<Done<A>>, StoreError> {
    serde_json::from_value(acts)
        .map_err(|error| StoreError::Unreadable { what: "acts", detail: error.to_string() })
}
