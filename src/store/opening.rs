//! How transactions begin: on our own sessions, or through a pooler that may give each transaction another session.

use std::sync::Arc;

/// Whatever the database or the role have as their default: the intent's checks must see what was committed before they
/// began, not before the transaction did.
const BEGIN: &str = "begin isolation level read committed";

/// How transactions of one pool begin.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    pub(super) statement: Arc<str>,
    /// No statement is on the session of the one before, unless a transaction is around both.
    pub(super) is_pooled: bool,
}

/// Those of the two pools.
#[derive(Debug, Clone)]
pub(super) struct Openings {
    pub(super) engine: Opening,
    pub(super) requests: Opening,
}

impl Opening {
    /// On a session that keeps its start settings.
    pub(super) fn direct() -> Self {
        Self { statement: BEGIN.into(), is_pooled: false }
    }

    /// On any session: the settings are made within the transaction.
    pub(super) fn pooled(preparing: &str) -> Self {
        Self { statement: format!("{BEGIN}; {preparing}").into(), is_pooled: true }
    }
}
