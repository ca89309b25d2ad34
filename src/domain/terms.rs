//! The settings that the engine's rules use, as plain values.

use std::time::Duration;

use super::missing::Tolerance;
use super::search::ConflictLimit;

/// What holds for one org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgTerms {
    pub name: String,
    /// Maximum conversations per job.
    pub max_batch: usize,
    /// Maximum conversations per details query.
    pub details_batch: usize,
    /// Live upstream jobs at the same time.
    pub slots: usize,
    /// Calls a minute; 0 for no limit of our own.
    pub per_minute: u32,
    /// A job may carry conversations of several purges.
    pub mixes_purges: bool,
    /// More conflicts block the org.
    pub conflict_limit: ConflictLimit,
}

/// What holds for the engine as a whole; the settings `engine.*`, where each is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineTerms {
    pub workers: usize,
    pub paused: bool,
    pub poll_initial: Duration,
    pub poll_max: Duration,
    pub job_deadline: Duration,
    pub lease: Duration,
    pub intent_ttl: Duration,
    pub ambiguity_grace: Duration,
    pub absence_gap: Duration,
    pub validation_max_age: Duration,
    pub verify_timeout: Duration,
    pub resubmit_after: Duration,
    pub max_attempts: u32,
    pub missing: Tolerance,
    pub shutdown_grace: Duration,
}
