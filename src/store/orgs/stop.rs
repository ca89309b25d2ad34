//! An operator stops an org: no work is started for it; jobs that run upstream are followed to their end.

use jiff::Timestamp;
use serde_json::json;

use super::controls;
use super::hurdle::Hurdle;
use super::lock::lock;
use super::quiet::quiet_at;
use crate::domain::act::OrgAct;
use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::store::acts;
use crate::store::events::{Actor, NewEvent, write};
use crate::store::keys::{self, By};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// The code of a stop by an operator.
pub const ORG_STOPPED: &str = "org_stopped";
/// The code of a stop by the service itself, since its database went back in time.
pub const DATABASE_REWOUND: &str = "database_rewound";

/// The code of a stop.
pub const fn code(is_rewound: bool) -> &'static str {
    if is_rewound { DATABASE_REWOUND } else { ORG_STOPPED }
}

/// Who stopped an org, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub code: &'static str,
    /// The name of the key.
    pub by: String,
    /// The reason, if one was given.
    pub reason: Option<String>,
    pub since: Timestamp,
}

impl Store {
    /// Stops the org: after the return no intent is committed and no query claimed, and no submit leaves after the
    /// returned time, until the org is resumed. An org that is stopped already stays so; the latest stop is shown.
    /// `None` if the reach does not cover it.
    pub async fn stop_org(
        &self,
        reach: &Reach,
        org: &str,
        by: By<'_>,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.retried(|| self.try_stop_org(reach, org, by)).await
    }

    async fn try_stop_org(
        &self,
        reach: &Reach,
        org: &str,
        by: By<'_>,
    ) -> Result<Option<Timestamp>, StoreError> {
        if !reach.covers(org) {
            return Ok(None);
        }
        let mut tx = self.begin_protecting("stop_org").await?;
        lock(&mut tx, org).await?;
        keys::ensure_in_force(&mut tx, by.key_id).await?;
        let told = sqlx::query!(
            r#"-- stop_org
            update orgs
            set stopped_at = coalesce(stopped_at, clock_timestamp()),
                stopped_by = case when stopped_at is null or $3::text is not null then $2 else stopped_by end,
                stopped_reason = coalesce($3, stopped_reason)
            where name = $1
              and (stopped_at is null or stopped_by <> $2
                   or $3::text is not null and stopped_reason is distinct from $3)
            returning stopped_by as "stopped_by!", stopped_reason"#,
            org,
            by.name,
            by.reason
        )
        .maybe(&mut tx)
        .await?;
        if let Some(told) = told {
            let payload = json!({ "reason": by.reason });
            let actor = Actor { name: &told.stopped_by, request_id: None };
            acts::note_of_org(&mut tx, org, OrgAct::Stop, actor, told.stopped_reason.as_deref()).await?;
            self.write_steering(&mut tx, org, EventType::OrgStopped, by.actor(), payload).await?;
        }
        sqlx::query!("-- lock_limiter_to_stop\nselect from limiters where org = $1 for update", org)
            .exactly(&mut tx, 1)
            .await?;
        let quiet_at = quiet_at(&mut tx, &[org.to_owned()], None).await?;
        tx.commit().await?;
        Ok(Some(quiet_at))
    }

    /// Resumes the org; without effect if it is not stopped. Also lifts a block for too many conflicts: the operator
    /// has checked them. `false` if the reach does not cover it.
    pub async fn resume_org(&self, reach: &Reach, org: &str, by: By<'_>) -> Result<bool, StoreError> {
        self.retried(|| self.try_resume_org(reach, org, by)).await
    }

    async fn try_resume_org(&self, reach: &Reach, org: &str, by: By<'_>) -> Result<bool, StoreError> {
        if !reach.covers(org) {
            return Ok(false);
        }
        let mut tx = self.begin_request("resume_org").await?;
        lock(&mut tx, org).await?;
        keys::ensure_in_force(&mut tx, by.key_id).await?;
        let resumed = sqlx::query!(
            "-- resume_org
            update orgs set stopped_at = null, stopped_by = null, stopped_reason = null, rewound_at = null
            where name = $1 and stopped_at is not null",
            org
        )
        .run(&mut tx)
        .await?;
        // The operator confirms that missing controls were deleted, and that conflicts are expected.
        let forgotten = controls::forget_missing(&mut tx, org).await?;
        let mut has_lifted = false;
        for hurdle in [Hurdle::Sight, Hurdle::Conflicts] {
            has_lifted |= self.lift_block(&mut tx, org, hurdle, by.actor()).await?;
        }
        let is_news = resumed > 0 || forgotten > 0 || has_lifted;
        if is_news {
            acts::note_of_org(&mut tx, org, OrgAct::Resume, by.actor(), by.reason).await?;
        }
        // A block that is lifted is an event of its own, which has no room for a reason.
        if resumed > 0 || forgotten > 0 || (has_lifted && by.reason.is_some()) {
            let mut payload =
                if forgotten > 0 { json!({ "forgottenControls": forgotten }) } else { json!({}) };
            if let Some(reason) = by.reason {
                payload["reason"] = json!(reason);
            }
            self.write_steering(&mut tx, org, EventType::OrgResumed, by.actor(), payload).await?;
        }
        if is_news {
            tx.will_wake(org);
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn write_steering(
        &self,
        tx: &mut Tx,
        org: &str,
        event: EventType,
        actor: Actor<'_>,
        payload: serde_json::Value,
    ) -> Result<(), StoreError> {
        let at = tx.now().await?;
        let event = NewEvent { event, org: Some(org), job: None, hold: None, payload, webhook: None };
        write(self, tx, at, actor, event).await
    }
}
