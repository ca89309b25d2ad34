//! An org that upstream refuses: its work waits, one attempt a minute is let through, nothing fails and nothing is
//! lost.

use std::time::Duration;

use super::hurdle::Hurdle;
use super::lock::lock;
use crate::domain::events::{EventType, OrgHurdle};
use crate::store::deliveries::owe::{Audience, Message, payload};
use crate::store::events::{Actor, NewEvent, write};
use crate::store::tx::{Tx, Writes as _};
use crate::store::{Store, StoreError};

/// The time between two tries of a blocked org.
pub const PROBE_EVERY: Duration = Duration::from_mins(1);

/// Why an org is blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The cause of the block.
    pub hurdle: Hurdle,
    pub code: String,
    /// What is missing and what to do, in a sentence.
    pub detail: String,
}

impl Store {
    /// Blocks the org, or renews its block.
    pub async fn block_org(&self, org: &str, block: &Block) -> Result<(), StoreError> {
        self.retried(|| self.try_block_org(org, block)).await
    }

    async fn try_block_org(&self, org: &str, block: &Block) -> Result<(), StoreError> {
        let mut tx = self.begin("block_org").await?;
        let locked = lock(&mut tx, org).await?;
        sqlx::query!(
            "-- block_org
            update orgs
            set blocked_call = $2, blocked_code = $3, blocked_detail = $4,
                blocked_at = coalesce(blocked_at, clock_timestamp()),
                probe_at = clock_timestamp() + make_interval(secs => $5)
            where name = $1",
            org,
            block.hurdle.as_str(),
            block.code,
            block.detail,
            PROBE_EVERY.as_secs_f64()
        )
        .run(&mut tx)
        .await?;
        if !locked.is_blocked {
            tracing::warn!(
                org,
                code = block.code,
                detail = block.detail,
                "the org is blocked; its work waits"
            );
            let hurdle = Some((block.code.as_str(), block.detail.as_str()));
            self.tell_of_block(&mut tx, org, EventType::OrgBlocked, Actor::ENGINE, hurdle).await?;
        }
        tx.commit().await
    }

    /// Lifts the block after its cause is gone.
    pub async fn unblock_org(&self, org: &str, hurdle: Hurdle) -> Result<(), StoreError> {
        self.retried(|| self.try_unblock_org(org, hurdle)).await
    }

    async fn try_unblock_org(&self, org: &str, hurdle: Hurdle) -> Result<(), StoreError> {
        let mut tx = self.begin("unblock_org").await?;
        lock(&mut tx, org).await?;
        self.lift_block(&mut tx, org, hurdle, Actor::ENGINE).await?;
        tx.commit().await
    }

    /// Lifts the block if it has this cause; returns whether it did. Under the org's lock.
    pub(super) async fn lift_block(
        &self,
        tx: &mut Tx,
        org: &str,
        hurdle: Hurdle,
        actor: Actor<'_>,
    ) -> Result<bool, StoreError> {
        let lifted = sqlx::query!(
            "-- unblock_org
            update orgs
            set blocked_call = null, blocked_code = null, blocked_detail = null, blocked_at = null, probe_at = null,
                conflicts_since = case when $3 then clock_timestamp() else conflicts_since end
            where name = $1 and blocked_call = $2",
            org,
            hurdle.as_str(),
            hurdle == Hurdle::Conflicts
        )
        .run(tx)
        .await?;
        if lifted > 0 {
            tracing::info!(org, "the org is no longer blocked");
            self.tell_of_block(tx, org, EventType::OrgUnblocked, actor, None).await?;
        }
        Ok(lifted > 0)
    }

    async fn tell_of_block(
        &self,
        tx: &mut Tx,
        org: &str,
        event: EventType,
        actor: Actor<'_>,
        hurdle: Option<(&str, &str)>,
    ) -> Result<(), StoreError> {
        let at = tx.now().await?;
        let (code, detail) = hurdle.map(|(code, detail)| (code.to_owned(), detail.to_owned())).unzip();
        let body = OrgHurdle { event, org: org.to_owned(), code, detail, timestamp: at };
        let webhook = Some(Message::new(&body, Audience::All)?);
        let payload = payload(&body)?;
        let event = NewEvent { event, org: Some(org), job: None, hold: None, payload, webhook };
        write(self, tx, at, actor, event).await
    }
}

/// Lets one try through, if it is time for one: the next is a minute away.
pub(in crate::store) async fn use_probe(tx: &mut Tx, org: &str) -> Result<bool, StoreError> {
    let used = sqlx::query!(
        "-- use_probe
        update orgs set probe_at = clock_timestamp() + make_interval(secs => $2)
        where name = $1 and probe_at <= clock_timestamp()",
        org,
        PROBE_EVERY.as_secs_f64()
    )
    .run(tx)
    .await?;
    Ok(used == 1)
}
