//! The circuit breaker of an org, for all replicas, in its limiter's row.

use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};

use super::limiter::Call;
use crate::domain::breaker::Breaker;
use crate::store::tx::{Rows as _, Writes as _};
use crate::store::{Store, StoreError};

/// A breaker as it is stored.
pub(super) fn read(failures: i32, open_until: Option<SqlTimestamp>, is_probing: bool) -> Breaker {
    let failures = u32::try_from(failures).unwrap_or_default();
    Breaker { failures, open_until: open_until.map(SqlTimestamp::to_jiff), is_probing }
}

impl Store {
    /// A call of this kind had no answer. If that opens the breaker, the kind goes last.
    pub async fn note_unanswered(&self, org: &str, call: Call, detail: &str) -> Result<(), StoreError> {
        let mut tx = self.begin("note_unanswered").await?;
        let row = sqlx::query!(
            r#"-- lock_breaker
            select failures, broken_until as "broken_until: SqlTimestamp", is_probing,
                   clock_timestamp() as "now!: SqlTimestamp"
            from limiters
            where org = $1
            for update"#,
            org
        )
        .one(&mut tx)
        .await?;
        let before = read(row.failures, row.broken_until, row.is_probing);
        let breaker = before.failed(row.now.to_jiff());
        if breaker == before {
            return Ok(());
        }
        sqlx::query!(
            "-- note_unanswered
            update limiters
            set failures = $2, broken_until = $3::timestamptz, is_probing = $4,
                broken_since = case when $3::timestamptz is not null then coalesce(broken_since, $7) end,
                broken_call = case when $3 is not null then $5::text end, broken_detail = case when $3 is not null then $6 end,
                refused_call = case when $3 is not null then $5 else refused_call end
            where org = $1",
            org,
            i32::try_from(breaker.failures).unwrap_or(i32::MAX),
            breaker.open_until.map(ToSqlx::to_sqlx) as _,
            breaker.is_probing,
            call.as_str(),
            detail,
            row.now as _
        )
        .exactly(&mut tx, 1)
        .await?;
        tx.commit().await?;
        if before.open_until.is_none() && breaker.open_until.is_some() {
            tracing::warn!(org, detail, "calls get no answer; trying one at a time");
        }
        Ok(())
    }

    /// A call had an answer, whatever it says: all may be called again.
    pub async fn note_answered(&self, org: &str) -> Result<(), StoreError> {
        let mut tx = self.begin("note_answered").await?;
        let was_open = sqlx::query_scalar!(
            r#"-- note_answered
            update limiters l
            set failures = 0, broken_until = null, is_probing = false, broken_since = null, broken_call = null,
                broken_detail = null
            from (select org, broken_until is not null as was_open from limiters where org = $1 for update) before
            where l.org = before.org
            returning before.was_open as "was_open!""#,
            org
        )
        .one(&mut tx)
        .await?;
        tx.will_wake(org);
        tx.commit().await?;
        if was_open {
            tracing::info!(org, "calls get answers again");
        }
        Ok(())
    }
}
