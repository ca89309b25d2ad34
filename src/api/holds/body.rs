//! A hold as callers read it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::holds::read::Hold;

/// A legal hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hold)]
pub(in crate::api) struct HoldBody {
    id: Uuid,
    /// The matter that protects.
    matter: String,
    /// The caller's own name for it.
    external_id: Option<String>,
    /// Why it was made.
    reason: Option<String>,
    /// It is in force.
    active: bool,
    /// How many conversations it names.
    conversations: i32,
    /// The orgs that it protects, of those that the key reaches.
    orgs: Vec<String>,
    created_by: String,
    created_at: Timestamp,
    released_by: Option<String>,
    released_at: Option<Timestamp>,
    /// Why it was released.
    release_reason: Option<String>,
}

/// A legal hold, and what it can't prevent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HoldInForce)]
pub(in crate::api) struct HoldWithLate {
    #[serde(flatten)]
    pub(super) hold: HoldBody,
    /// Conversations that are gone, or that a job may be deleting: it came too late for them.
    pub(super) too_late: Vec<Uuid>,
}

impl From<Hold> for HoldBody {
    fn from(hold: Hold) -> Self {
        Self {
            id: hold.id,
            matter: hold.matter,
            external_id: hold.external_id,
            reason: hold.reason,
            active: hold.is_active,
            conversations: hold.conversations,
            orgs: hold.orgs,
            created_by: hold.created_by,
            created_at: hold.created_at,
            released_by: hold.released_by,
            released_at: hold.released_at,
            release_reason: hold.release_reason,
        }
    }
}
