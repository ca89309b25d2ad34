//! The interface of an upstream organization for the rest of the service: four calls, their permits and their answers.
//!
//! Invariant: nothing here names a status code, a header or a field of a wire format.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    failure::{Detail, Failure},
    permit::Permit,
};
use crate::domain::facts::Facts;

/// One upstream organization behind its driver.
///
/// Each method that takes a [`Permit`] makes at most one call, and never repeats it: what a failure means is in
/// [`Failure`], what to do about it is the caller's.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// Makes sure that a token and a connection are in hand for one more call of this kind, so that a call that follows
    /// at once waits for neither. To be asked before a permit is taken: it takes as long as they take.
    ///
    /// A connection that can't be had is no failure here: the call finds that out, and tells.
    async fn ready(&self, lane: Lane) -> Result<(), NotReady>;

    /// Asks for the facts of these conversations.
    async fn facts(&self, ids: &[Uuid], permit: Permit) -> Answer<Told>;

    /// Asks upstream to delete these conversations for good.
    async fn submit(&self, ids: &[Uuid], permit: Permit) -> Answer<UpstreamJobId>;

    /// Asks how far an upstream job is.
    async fn poll(&self, upstream_job_id: &str, permit: Permit) -> Answer<JobStatus>;

    /// SHA-256 of the very body that [`Upstream::submit`] sends for these ids in this order.
    fn body_digest(&self, ids: &[Uuid]) -> [u8; 32];

    /// How old the token in hand is, if there is one.
    fn token_life(&self) -> Option<TokenLife>;

    /// Why there is no token, if the login gives none. It stands until a renewal succeeds.
    fn login_trouble(&self) -> Option<LoginTrouble>;
}

/// Which connections a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Kept-alive ones: for calls that change nothing.
    Query,
    /// A fresh one for each call.
    Submit,
}

/// Why no call can be made at present.
#[derive(Debug, Clone)]
pub struct NotReady {
    /// That of the last login, which all share that come before the next.
    pub failure: Failure,
    /// Until the login is asked again; to ask earlier tells the same.
    pub again_in: Duration,
}

/// What a login that gives no token stands in the way with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginTrouble {
    /// When the first of the row of logins failed.
    pub since: Timestamp,
    /// That of the last of them.
    pub detail: Detail,
    /// Until the login is asked again.
    pub next_try_in: Duration,
}

/// What a well-formed answer told of the conversations that it was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Of those that it contains.
    pub facts: HashMap<Uuid, Facts>,
    /// `None`: the answer is whole, and left out what is not in the map. Else it says itself that it is not, and what
    /// became of those that are not in the map could not be told.
    pub incomplete: Option<Box<Detail>>,
}

/// What a call came to, and what was seen on the way.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was asked for, or what the failure means.
    pub result: Result<T, Failure>,
    /// What the answer said beside it. Filled as far as an answer came, whatever the result.
    pub observed: Observed,
}

impl<T> Answer<T> {
    /// Takes what is wanted of the result.
    pub(super) fn map<U>(self, take: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { result: self.result.map(take), observed: self.observed }
    }
}

/// What a call showed of upstream beside its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Observed {
    /// The calls a minute that upstream says it allows.
    pub allowed_per_minute: Option<u32>,
    /// Upstream's clock when it answered, to the second.
    pub upstream_time: Option<Timestamp>,
    /// From asking for the token to the end of the answer.
    pub duration: Duration,
}

/// The name that upstream gave to a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamJobId(pub String);

/// How far an upstream job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// Not ended: waiting, running, or in a state that this service does not know.
    Working {
        /// As upstream said it.
        state: String,
        /// Where upstream said so.
        records_processed: Option<i64>,
    },
    /// Upstream calls it ended.
    Ended {
        /// Whether upstream calls it a success.
        succeeded: bool,
        /// As upstream said it.
        state: String,
        /// Where upstream said so.
        records_processed: Option<i64>,
    },
}

impl JobStatus {
    /// The same, its state told in other words.
    pub(super) fn said_as(mut self, tell: impl FnOnce(&str) -> String) -> Self {
        match &mut self {
            Self::Working { state, .. } | Self::Ended { state, .. } => *state = tell(state),
        }
        self
    }
}

/// Age and life of the token in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenLife {
    /// Since it was asked for.
    pub age: Duration,
    /// Until upstream lets it expire; zero once it has.
    pub expires_in: Duration,
}
