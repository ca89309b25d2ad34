//! Enrolls orgs: which retention rules are in force for them, and who may change those.
//!
//! Stricter rules are in force as soon as a worker starts with them. Looser ones only when an operator says so: a
//! replica with an old configuration, or one of another stage, must not delete conversations that the others would
//! keep.

use crate::domain::events::EventType;
use crate::domain::retention::Policy;
use crate::store::events::{Actor, NewEvent, write};
use crate::store::rewind;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// Who brings rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enroller<'a> {
    /// A worker that starts: its rules are in force as far as they are stricter.
    Worker,
    /// An operator of this name, who has compared both: the configured rules apply as they are.
    Operator(&'a str),
}

/// The result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The previous rules, if there were any and they differ.
    pub replaced: Option<Policy>,
    /// The rules in force from now on.
    pub in_force: Policy,
}

impl Store {
    /// Makes the org known to a process that only takes requests, and changes nothing of it: rules are the workers'.
    pub async fn know_org(&self, org: &str, policy: &Policy) -> Result<(), StoreError> {
        let mut tx = self.begin("know_org").await?;
        self.insert_org(&mut tx, org, policy).await?;
        tx.commit().await
    }

    /// Applies an org's rules, and raises their epoch if they changed, so that all facts are judged again.
    pub async fn enroll_org(
        &self,
        org: &str,
        policy: &Policy,
        enroller: Enroller<'_>,
    ) -> Result<Enrolled, StoreError> {
        let mut tx = self.begin("enroll_org").await?;
        self.insert_org(&mut tx, org, policy).await?;
        // The org's lock, so that intents are exactly before or after the change.
        let row = sqlx::query!(
            "-- lock_org_to_enroll
            select policy, policy_epoch from orgs where name = $1 for no key update",
            org
        )
        .one(&mut tx)
        .await?;
        let before = (row.policy_epoch > 0).then(|| read(row.policy)).transpose()?;
        let in_force = match (&before, enroller) {
            (Some(before), Enroller::Worker) => policy.strictest(before),
            (Some(_), Enroller::Operator(_)) | (None, _) => policy.clone(),
        };
        if before.as_ref() == Some(&in_force) {
            return Ok(Enrolled { replaced: None, in_force });
        }
        sqlx::query!(
            "-- enroll_org
            update orgs set policy = $2, policy_epoch = policy_epoch + 1 where name = $1",
            org,
            written(&in_force)?
        )
        .exactly(&mut tx, 1)
        .await?;
        if let Some(before) = &before {
            self.tell_change(&mut tx, org, before, &in_force, enroller).await?;
        }
        tx.commit().await?;
        Ok(Enrolled { replaced: before, in_force })
    }

    async fn tell_change(
        &self,
        tx: &mut Tx,
        org: &str,
        before: &Policy,
        after: &Policy,
        enroller: Enroller<'_>,
    ) -> Result<(), StoreError> {
        let actor = match enroller {
            Enroller::Worker => Actor::ENGINE,
            Enroller::Operator(name) => Actor { name, request_id: None },
        };
        let at = tx.now().await?;
        let payload = serde_json::json!({ "before": before, "after": after });
        let event = EventType::RetentionChanged;
        let event = NewEvent { event, org: Some(org), job: None, hold: None, payload, webhook: None };
        write(self, tx, at, actor, event).await
    }

    /// A new org: with rules of epoch 0, which no worker has applied.
    async fn insert_org(&self, tx: &mut Tx, org: &str, policy: &Policy) -> Result<(), StoreError> {
        let is_new = sqlx::query!(
            "-- know_org
            insert into orgs (name, policy, policy_epoch) values ($1, $2, 0) on conflict do nothing",
            org,
            written(policy)?
        )
        .run(tx)
        .await?;
        sqlx::query!("-- enroll_limiter\ninsert into limiters (org) values ($1) on conflict do nothing", org)
            .run(tx)
            .await?;
        sqlx::query!("-- enroll_pace\ninsert into paces (org) values ($1) on conflict do nothing", org)
            .run(tx)
            .await?;
        if is_new > 0 { rewind::stop_new(self, tx, org).await } else { Ok(()) }
    }
}

fn written(policy: &Policy) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(policy).map_err(|error| unreadable(&error))
}

fn read(policy: serde_json::Value) -> Result<Policy, StoreError> {
    serde_json::from_value(policy).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> StoreError {
    StoreError::Unreadable { what: "policy", detail: error.to_string() }
}
