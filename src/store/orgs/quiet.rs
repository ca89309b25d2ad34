//! From when on no submit leaves any more that an earlier intent allowed.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

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
    let quiet_at = sqlx::query_scalar!(
        r#"-- quiet_at
        select greatest(max(call_before), clock_timestamp()) as "quiet_at!: SqlTimestamp"
        from jobs j
        where org = any($1) and state = 'submitting'
          and ($2::uuid is null or exists (select from job_parts where job_id = j.id and purge_id = $2))"#,
        orgs,
        purge
    )
    .one(tx)
    .await?;
    Ok(quiet_at.to_jiff())
}
