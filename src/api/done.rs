//! What was done last, as callers read it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::act::{Act, OrgAct};
use crate::store::Done;

/// The last act of a kind on a purge. It stays when another has taken it back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastAct)]
pub(super) struct ActBody {
    act: Act,
    /// The name of the key, or `engine`.
    by: String,
    /// The reason, if one was given.
    reason: Option<String>,
    at: Timestamp,
}

impl From<Done<Act>> for ActBody {
    fn from(done: Done<Act>) -> Self {
        Self { act: done.act, by: done.by, reason: done.reason, at: done.at }
    }
}

/// The last act of a kind on an org. It stays when another has taken it back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastOrgAct)]
pub(super) struct OrgActBody {
    act: OrgAct,
    /// The name of the key, or `engine`.
    by: String,
    /// The reason, if one was given.
    reason: Option<String>,
    at: Timestamp,
}

impl From<Done<OrgAct>> for OrgActBody {
    fn from(done: Done<OrgAct>) -> Self {
        Self { act: done.act, by: done.by, reason: done.reason, at: done.at }
    }
}
