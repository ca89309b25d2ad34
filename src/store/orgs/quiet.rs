//! The time after which no submit of an earlier intent can leave.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use crate::domain::rewind::Ground;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// The latest deadline of the intents of these orgs, or of those that name conversations of this purge; now, where none is
/// open. Under the locks of the orgs, so that no intent is added.
///
/// One statement: a call that its snapshot does not show as under way any more left before its clock is read.
pub(in crate::store) async fn quiet_at(
    tx: &mut Tx,
    orgs: &[String],
    purge: Option<Uuid>,
) -> Result<Timestamp, StoreError> {
    let row = sqlx::query!(
        r#"-- quiet_at
        select greatest(last.call_before, clock_timestamp()) as "quiet_at!: SqlTimestamp",
               g.system as "system!", g.timeline as "timeline!", g.position as "position!"
        from ground g
        cross join lateral (
            select max(call_before) as call_before
            from jobs j
            where org = any($1) and state = 'submitting'
              and ($2::uuid is null or exists (select from job_parts where job_id = j.id and purge_id = $2))
        ) last"#,
        orgs,
        purge
    )
    .one(tx)
    .await?;
    // An answered hold or stop must not get lost: this detects a database that has forgotten it.
    tx.will_remember(Ground { system: row.system, timeline: row.timeline, position: row.position });
    Ok(row.quiet_at.to_jiff())
}
