//! The rules in force.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;

use crate::domain::retention::Policy;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// Rules and their epoch, and whether anything may be begun by them, read together.
pub(in crate::store) struct Rules {
    pub(in crate::store) policy: Policy,
    pub(in crate::store) epoch: i64,
    pub(in crate::store) read_at: Timestamp,
    /// An operator stopped the org.
    pub(in crate::store) is_stopped: bool,
}

/// Reads rules and epoch in one statement.
pub(in crate::store) async fn in_force(tx: &mut Tx, org: &str) -> Result<Rules, StoreError> {
    let row = sqlx::query!(
        r#"-- rules_in_force
        select policy, policy_epoch, stopped_at is not null as "is_stopped!",
               clock_timestamp() as "read_at!: SqlTimestamp"
        from orgs
        where name = $1"#,
        org
    )
    .one(tx)
    .await?;
    let policy = serde_json::from_value(row.policy)
        .map_err(|error| StoreError::Unreadable { what: "policy", detail: error.to_string() })?;
    Ok(Rules { policy, epoch: row.policy_epoch, read_at: row.read_at.to_jiff(), is_stopped: row.is_stopped })
}
