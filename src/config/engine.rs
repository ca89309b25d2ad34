//! `[engine]`: the pace of the work, and the timeouts after which something counts as lost.
//!
//! Invariant: only numbers and the rules between them; the engine decides what to do with them.

use std::time::Duration;

use serde::Deserialize;

use super::merged::Merged;
use super::{ConfigError, values};

/// The longest that one call to Genesys may take, connecting included (the wire client's whole-call timeout).
const LONGEST_CALL: Duration = Duration::from_secs(20);
/// What connecting may take of it, and what must be left of an intent when its call is begun.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Two of the longest calls (a token and the call itself) and one more attempt to connect fit into a lease.
const SHORTEST_LEASE: Duration = Duration::from_secs(2 * LONGEST_CALL.as_secs() + CONNECT_TIMEOUT.as_secs());
/// An intent that ends with the connect timeout would never be followed by a call.
const INTENT_TTL_ABOVE: Duration = Duration::from_secs(CONNECT_TIMEOUT.as_secs() + 1);

/// `[engine]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// How many steps run at the same time in one process.
    #[serde(deserialize_with = "values::whole::<1, 1024, _, _>")]
    pub workers: usize,
    /// Accept purges, but start nothing.
    #[serde(deserialize_with = "values::yes_no")]
    pub paused: bool,
    /// The first poll of an upstream job comes so long after its submit.
    #[serde(deserialize_with = "values::duration")]
    pub poll_initial: Duration,
    /// Polls of one upstream job are never further apart than this.
    #[serde(deserialize_with = "values::duration")]
    pub poll_max: Duration,
    /// An upstream job that has not ended by then is verified and given up.
    #[serde(deserialize_with = "values::duration")]
    pub job_deadline: Duration,
    /// How long a claim is good for; what a dead process held is taken over after this.
    #[serde(deserialize_with = "values::duration")]
    pub lease: Duration,
    /// How long after its commit an intent's call may be begun.
    #[serde(deserialize_with = "values::duration")]
    pub intent_ttl: Duration,
    /// The shortest wait before a submit without an answer is looked into.
    #[serde(deserialize_with = "values::duration")]
    pub ambiguity_grace: Duration,
    /// Two answers that leave an id out say that it is gone only when they are so far apart.
    #[serde(deserialize_with = "values::duration")]
    pub absence_gap: Duration,
    /// Facts older than this are asked again before a submit.
    #[serde(deserialize_with = "values::duration")]
    pub validation_max_age: Duration,
    /// How long after an upstream job's end its ids may still be seen, as long as nothing better was observed.
    #[serde(deserialize_with = "values::duration")]
    pub verify_timeout: Duration,
    /// An id that an ended job left where it was goes again no sooner; doubles with every such job.
    #[serde(deserialize_with = "values::duration")]
    pub resubmit_after: Duration,
    /// How many upstream jobs may carry an id in one run of its purge before it fails.
    #[serde(deserialize_with = "values::whole::<1, 100, _, _>")]
    pub max_attempts: u32,
    /// A purge pauses itself when more than so many of a hundred of its conversations are not found.
    #[serde(deserialize_with = "values::whole::<1, 100, _, _>")]
    pub not_found_percent: u32,
    /// But not before so many of them were judged.
    #[serde(deserialize_with = "values::whole::<1, 1000000000, _, _>")]
    pub not_found_from: u32,
    /// How long running steps may take to finish when the process is told to stop; 0s: none of them is waited for.
    #[serde(deserialize_with = "values::duration_or_zero")]
    pub shutdown_grace: Duration,
}

impl EngineSettings {
    /// The rules between values.
    pub(super) fn check(&self, merged: &Merged) -> Result<(), ConfigError> {
        let [poll_initial, poll_max, lease, intent_ttl] =
            ["poll_initial", "poll_max", "lease", "intent_ttl"].map(|key| ["engine", key]);
        if self.poll_max < self.poll_initial {
            let other = merged.describe(&poll_initial);
            return Err(merged.refuse(&poll_max, format!("expected at least {other}")));
        }
        if self.lease < SHORTEST_LEASE {
            let problem = format!("expected at least {SHORTEST_LEASE:?}, so that no call outlives its lease");
            return Err(merged.refuse(&lease, problem));
        }
        if self.intent_ttl <= INTENT_TTL_ABOVE {
            let problem = format!("expected more than {INTENT_TTL_ABOVE:?}, which connecting may take");
            return Err(merged.refuse(&intent_ttl, problem));
        }
        if self.intent_ttl >= self.lease {
            let other = merged.describe(&lease);
            return Err(merged.refuse(&intent_ttl, format!("expected less than {other}")));
        }
        Ok(())
    }
}
