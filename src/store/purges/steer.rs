//! What a caller does to a purge: cancel, pause, resume, retry; each one transaction under the org's lock, so that it is
//! exactly before or after every intent.

use jiff::Timestamp;
use uuid::Uuid;

use super::finish;
use super::load::{self, Purge};
use crate::domain::act::Act;
use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::domain::reason::Step;
use crate::domain::state::PurgeState;
use crate::store::events::{OfPurge, write_for_purges};
use crate::store::jobs::withdraw::{self, Leave, waiting_with};
use crate::store::keys::{self, By};
use crate::store::orgs::lock;
use crate::store::orgs::quiet::quiet_at;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// What became of the wish to do something to a purge.
#[derive(Debug, Clone)]
pub enum Steered {
    /// It is done. No submit that names a conversation of the purge leaves after `quiet_at`, until the purge goes on.
    Done {
        /// The latest deadline of the purge's intents, or the time of the act where none is open.
        quiet_at: Timestamp,
        /// The purge right after.
        purge: Box<Purge>,
    },
    /// The purge's state does not allow it.
    Forbidden(PurgeState),
}

impl Store {
    /// Does it; `None` where there is no such purge within the reach.
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
        let mut tx = self.begin_protecting("steer_purge").await?;
        lock::lock(&mut tx, org).await?;
        keys::ensure_in_force(&mut tx, by.key_id).await?;
        // What waits in jobs leaves them now, in this transaction: an intent that comes after must not find it there.
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
        let Some(next) = act.leads_to(standing.state, standing.has_started) else {
            return Ok(Some(Steered::Forbidden(standing.state)));
        };
        if next != standing.state {
            set_state(&mut tx, purge, act, next).await?;
            let payload = match act {
                Act::Retry => serde_json::json!({ "run": standing.run + 1 }),
                Act::Cancel | Act::Pause | Act::Resume => serde_json::json!({}),
            };
            let event = OfPurge { purge, event: EventType::of_act(act), job: None, payload, webhook: None };
            write_for_purges(self, &mut tx, by.actor(), vec![event]).await?;
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
        // Read before the commit: what is done must not be answered with a failure to read it.
        let steered = load::load_one(&mut tx, purge).await?;
        tx.commit().await?;
        Ok(Some(Steered::Done { quiet_at, purge: Box::new(steered) }))
    }
}

/// How a purge stands whose row is locked.
struct Standing {
    state: PurgeState,
    has_started: bool,
    run: i32,
}

async fn standing(tx: &mut Tx, purge: Uuid) -> Result<Standing, StoreError> {
    let row = sqlx::query!(
        r#"-- standing_of_purge
        select state as "state: PurgeState", started_at is not null as "has_started!", run from purges where id = $1"#,
        purge
    )
    .one(tx)
    .await?;
    Ok(Standing { state: row.state, has_started: row.has_started, run: row.run })
}

/// A retry begins a new run, and has the failed conversations looked for from the first slice on; a cancel ends a retry
/// that is under way.
async fn set_state(tx: &mut Tx, purge: Uuid, act: Act, next: PurgeState) -> Result<(), StoreError> {
    sqlx::query!(
        "-- steer_purge
        update purges
        set state = $2::text::purge_state, run = run + $3::boolean::int,
            finished_at = case when $3 then null else finished_at end,
            retry_from = case when $3 then 0 when $4 then null else retry_from end
        where id = $1",
        purge,
        next.as_str(),
        act == Act::Retry,
        act == Act::Cancel
    )
    .exactly(tx, 1)
    .await
}
