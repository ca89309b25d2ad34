//! Acts on a purge: cancel, pause, resume, retry; each one transaction under the org's lock, so that it is exactly
//! before or after every intent.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::finish;
use super::load::{self, Purge};
use crate::domain::act::Act;
use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::domain::missing::{Tolerance, is_too_much};
use crate::domain::reason::Step;
use crate::domain::state::PurgeState;
use crate::store::acts;
use crate::store::events::{Actor, OfPurge, write_for_purges};
use crate::store::jobs::withdraw::{self, Leave, waiting_with};
use crate::store::keys::{self, By};
use crate::store::orgs::lock;
use crate::store::orgs::quiet::quiet_at;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// The result of an act on a purge.
#[derive(Debug, Clone)]
pub enum Steered {
    /// It is done. No submit that names a conversation of the purge leaves after `quiet_at`, until the purge is
    /// resumed.
    Done {
        /// The latest deadline of the purge's intents, or the time of the act if none is open.
        quiet_at: Timestamp,
        /// The purge right after.
        purge: Box<Purge>,
    },
    /// The purge's state does not allow it.
    Forbidden(PurgeState),
}

/// The code of a pause by the service itself, since too much of the purge is not known upstream.
pub const NOT_FOUND_SHARE: &str = "not_found_share";

/// A requested act.
struct Order<'a> {
    act: Act,
    actor: Actor<'a>,
    /// The caller's key, if a caller requested it.
    key_id: Option<Uuid>,
    /// The caller's reason, if given.
    reason: Option<&'a str>,
    /// The service's reason, if it acts by itself.
    paused_for: Option<&'a str>,
}

impl Order<'_> {
    /// The data of its event.
    fn payload(&self, run: i32) -> Value {
        let mut payload = match (self.act, self.paused_for) {
            (Act::Retry, _) => json!({ "run": run + 1 }),
            (Act::Pause, Some(detail)) => json!({ "code": NOT_FOUND_SHARE, "detail": detail }),
            (Act::Cancel | Act::Pause | Act::Resume, _) => json!({}),
        };
        if let Some(reason) = self.reason {
            payload["reason"] = json!(reason);
        }
        payload
    }
}

impl Store {
    /// Does it; `None` if there is no such purge within the reach.
    pub async fn steer_purge(
        &self,
        reach: &Reach,
        purge: Uuid,
        act: Act,
        by: By<'_>,
    ) -> Result<Option<Steered>, StoreError> {
        self.retried(|| self.try_steer_purge(reach, purge, act, by)).await
    }

    async fn try_steer_purge(
        &self,
        reach: &Reach,
        purge: Uuid,
        act: Act,
        by: By<'_>,
    ) -> Result<Option<Steered>, StoreError> {
        // Not in the transaction below, whose first statement is the lock. The org of a purge never changes.
        let Some(org) = self.org_of(reach, purge).await? else { return Ok(None) };
        let org = org.as_str();
        let tx = self.begin_protecting("steer_purge").await?;
        let order =
            Order { act, actor: by.actor(), key_id: Some(by.key_id), reason: by.reason, paused_for: None };
        self.steer(tx, org, purge, order).await.map(Some)
    }

    /// Pauses those of the purges of which too many ids are unknown upstream, once.
    pub async fn pause_what_is_missing(
        &self,
        org: &str,
        purges: &[Uuid],
        tolerance: Tolerance,
    ) -> Result<(), StoreError> {
        for (purge, not_found, judged) in self.missing_of(purges).await? {
            if !is_too_much(not_found, judged, tolerance) {
                continue;
            }
            let why = format!(
                "{not_found} of the {judged} conversations judged so far are not known to Genesys, more than {} % \
                 (engine.not_found_percent): check the list, the org, and the divisions of the OAuth client; resumed it goes on",
                tolerance.percent
            );
            let tx = self.begin("pause_purge").await?;
            let order = Order {
                act: Act::Pause,
                actor: Actor::ENGINE,
                key_id: None,
                reason: None,
                paused_for: Some(&why),
            };
            if let Steered::Done { .. } = self.steer(tx, org, purge, order).await? {
                tracing::warn!(org, %purge, not_found, judged, "too many conversations of a purge are unknown to Genesys; it is paused");
            }
        }
        Ok(())
    }

    /// How many of each are not known upstream, of how many that were judged; without those that nothing more is to be made
    /// of.
    async fn missing_of(&self, purges: &[Uuid]) -> Result<Vec<(Uuid, i64, i64)>, StoreError> {
        let mut tx = self.single("missing_of").await?;
        let rows = sqlx::query!(
            r#"-- missing_of
            select id, not_found, total - pending as "judged!"
            from purges
            where id = any($1) and state = 'running' and not dry_run and much_missing_at is null
            order by id"#,
            purges
        )
        .all(&mut tx)
        .await?;
        Ok(rows.into_iter().map(|row| (row.id, row.not_found, row.judged)).collect())
    }

    async fn steer(
        &self,
        mut tx: Tx,
        org: &str,
        purge: Uuid,
        order: Order<'_>,
    ) -> Result<Steered, StoreError> {
        let act = order.act;
        lock::lock(&mut tx, org).await?;
        if let Some(key_id) = order.key_id {
            keys::ensure_in_force(&mut tx, key_id).await?;
        }
        // Its conversations in waiting jobs leave them now, in this transaction: a later intent must not find them
        // there.
        let (waiting, reserved) = match act {
            Act::Cancel | Act::Pause => waiting_with(&mut tx, org, &[purge]).await?,
            Act::Resume | Act::Retry => (Vec::new(), Vec::new()),
        };
        let (step, why) = match act {
            Act::Cancel => (Step::Cancel, Leave::Canceled),
            Act::Pause | Act::Resume => (Step::Pause, Leave::Paused),
            Act::Retry => (Step::Retry, Leave::Paused),
        };
        let mut patch = withdraw::lock(&mut tx, step, &waiting, reserved).await?;
        withdraw::withdraw(&mut tx, &mut patch, org, &[purge], waiting, why).await?;
        // Slices go before purges in the order of locks, so only now is it known whether the act is allowed; if it is not,
        // all of this is rolled back.
        patch.lock_purges(&mut tx, purge).await?;
        let standing = standing(&mut tx, purge).await?;
        let next = act.leads_to(standing.state, standing.has_started);
        // Another process has paused it before, and somebody has resumed it already.
        let is_told = order.paused_for.is_some() && standing.is_missing_told;
        let Some(next) = next.filter(|_| !is_told) else { return Ok(Steered::Forbidden(standing.state)) };
        if next != standing.state {
            set_state(&mut tx, purge, &order, next).await?;
            acts::note(&mut tx, purge, act, order.actor, order.reason.or(order.paused_for)).await?;
            let payload = order.payload(standing.run);
            let event = OfPurge { purge, event: EventType::of_act(act), job: None, payload, webhook: None };
            write_for_purges(self, &mut tx, order.actor, vec![event]).await?;
        }
        patch.write(self, &mut tx).await?;
        if act == Act::Cancel {
            // A retry that has not taken anything up yet leaves nothing open.
            let now = tx.now().await?;
            finish::finish(self, &mut tx, now, &[purge]).await?;
        }
        // Still under the org's lock: no intent can come in between.
        let quiet_at = quiet_at(&mut tx, &[org.to_owned()], Some(purge)).await?;
        tx.will_wake(org);
        // Read before the commit: otherwise a committed act could be answered with a read error.
        let steered = load::load_one(&mut tx, purge).await?;
        tx.commit().await?;
        Ok(Steered::Done { quiet_at, purge: Box::new(steered) })
    }
}

/// The state of a purge whose row is locked.
struct Standing {
    state: PurgeState,
    has_started: bool,
    run: i32,
    /// It paused itself before.
    is_missing_told: bool,
}

async fn standing(tx: &mut Tx, purge: Uuid) -> Result<Standing, StoreError> {
    let row = sqlx::query!(
        r#"-- standing_of_purge
        select state as "state: PurgeState", started_at is not null as "has_started!", run,
               much_missing_at is not null as "is_missing_told!"
        from purges
        where id = $1"#,
        purge
    )
    .one(tx)
    .await?;
    Ok(Standing {
        state: row.state,
        has_started: row.has_started,
        run: row.run,
        is_missing_told: row.is_missing_told,
    })
}

/// A retry begins a new run, and has the failed conversations looked for from the first slice on; a cancel ends a retry
/// that is under way.
async fn set_state(tx: &mut Tx, purge: Uuid, order: &Order<'_>, next: PurgeState) -> Result<(), StoreError> {
    let act = order.act;
    sqlx::query!(
        "-- steer_purge
        update purges
        set state = $2::text::purge_state, run = run + $3::boolean::int,
            finished_at = case when $3 then null else finished_at end,
            retry_from = case when $3 then 0 when $4 then null else retry_from end,
            paused_for = $5::text,
            much_missing_at = case when $5 is null then much_missing_at else clock_timestamp() end
        where id = $1",
        purge,
        next.as_str(),
        act == Act::Retry,
        act == Act::Cancel,
        order.paused_for
    )
    .exactly(tx, 1)
    .await
}
