//! The rules in force.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::types::Json;

use super::hurdle;
use crate::domain::retention::Policy;
use crate::domain::sight::Control;

/// Rules and their epoch, and whether work may start under them, read together.
pub(in crate::store) struct Rules {
    pub(in crate::store) policy: Policy,
    pub(in crate::store) epoch: i64,
    pub(in crate::store) read_at: Timestamp,
    /// An operator stopped the org.
    pub(in crate::store) is_stopped: bool,
    /// Queries of facts are blocked.
    pub(in crate::store) are_facts_blocked: bool,
    /// By which an answer is checked.
    pub(in crate::store) controls: Vec<Control>,
}

/// The same as the database has it.
pub(super) struct RulesRow {
    pub(super) policy: Json<Policy>,
    pub(super) policy_epoch: i64,
    pub(super) is_stopped: bool,
    pub(super) blocked_call: Option<String>,
    pub(super) read_at: SqlTimestamp,
    pub(super) controls: Json<Vec<Control>>,
}

impl From<RulesRow> for Rules {
    fn from(row: RulesRow) -> Self {
        Self {
            policy: row.policy.0,
            epoch: row.policy_epoch,
            read_at: row.read_at.to_jiff(),
            is_stopped: row.is_stopped,
            are_facts_blocked: row.blocked_call.is_some_and(|call| hurdle::blocks_facts(&call)),
            controls: row.controls.0,
        }
    }
}
