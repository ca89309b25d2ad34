//! What the steps of one org share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::Chance;
use crate::domain::pace::{Bounds, Pace};
use crate::domain::terms::{EngineTerms, OrgTerms};
use crate::genesys::{Failure, LoginTrouble, Observed, Permit, Upstream};
use crate::meters::Meters;
use crate::store::orgs::hurdle::Hurdle;
use crate::store::orgs::limiter::Call;
use crate::store::views::survey::Survey;
use crate::store::{Store, StoreError};
use crate::traces::Traces;

pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One org, as the engine works for it.
pub struct OrgEngine {
    pub terms: OrgTerms,
    pub engine: EngineTerms,
    pub upstream: Arc<dyn Upstream>,
    pub store: Store,
    pub clock: Clock,
    pub chance: Chance,
    /// The meters of its steps.
    pub meters: Meters,
    /// The traces of its steps.
    pub traces: Traces,
    memory: Mutex<Memory>,
    /// When the token that the database knows of was requested.
    told_token: Mutex<Option<Instant>>,
    /// When the next login comes after the failed one that the database knows of.
    told_trouble: Mutex<Option<Instant>>,
}

/// The result of the last survey, so that a success that changes nothing costs no statement.
#[derive(Debug, Clone, Default)]
struct Memory {
    told_per_minute: Option<u32>,
    refused_call: Option<String>,
    refusals: u32,
    has_failures: bool,
    is_blocked: bool,
    pace: Pace,
}

/// Two looks at one token differ by less in when it was asked for.
const SAME_TOKEN: Duration = Duration::from_millis(100);

impl OrgEngine {
    /// An org that was not surveyed yet.
    pub fn new(
        terms: OrgTerms,
        engine: EngineTerms,
        upstream: Arc<dyn Upstream>,
        store: Store,
        clock: Clock,
        chance: Chance,
    ) -> Self {
        let memory = Mutex::new(Memory::default());
        Self {
            terms,
            engine,
            upstream,
            store,
            clock,
            chance,
            meters: Meters::silent(),
            traces: Traces::default(),
            memory,
            told_token: Mutex::default(),
            told_trouble: Mutex::default(),
        }
    }

    /// Records its steps there.
    #[must_use]
    pub fn measured(self, meters: Meters) -> Self {
        Self { meters, ..self }
    }

    /// Tells its steps there.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// The settings of polling.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { initial: self.engine.poll_initial, longest: self.engine.poll_max }
    }

    pub(super) fn remember(&self, survey: &Survey) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        *memory = Memory {
            told_per_minute: survey.told_per_minute,
            refused_call: survey.refused_call.clone(),
            refusals: survey.refusals,
            has_failures: survey.has_failures,
            is_blocked: survey.is_blocked,
            pace: survey.pace.clone(),
        };
    }

    /// Records a new token in the database; nothing depends on its success.
    pub(super) async fn tell_token(&self) {
        let Some(life) = self.upstream.token_life() else { return };
        let Some(asked_at) = Instant::now().checked_sub(life.age) else { return };
        let told = *self.told_token.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|told| asked_at <= told + SAME_TOKEN) {
            return;
        }
        match self.store.note_token(&self.terms.name, life.age, life.expires_in).await {
            Ok(()) => *self.told_token.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked_at),
            Err(error) => {
                tracing::warn!(org = self.terms.name, %error, "the age of the token could not be recorded");
            }
        }
    }

    /// Records in the database why there is no token; nothing depends on its success.
    pub(super) async fn tell_login_trouble(&self) {
        let Some(LoginTrouble { since, detail, next_try_in }) = self.upstream.login_trouble() else {
            *self.told_trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return;
        };
        // Each failure in a row is recorded: when the next attempt comes, and the last error.
        let next_try = Instant::now() + next_try_in;
        let told = *self.told_trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|told| next_try <= told + SAME_TOKEN) {
            return;
        }
        let org = &self.terms.name;
        match self.store.note_login_trouble(org, since, &detail.to_string(), next_try_in).await {
            Ok(()) => *self.told_trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(next_try),
            Err(error) => tracing::warn!(org, %error, "the failure of the login could not be recorded"),
        }
    }

    /// The known durations of jobs.
    pub(super) fn pace(&self) -> Pace {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).pace.clone()
    }

    /// The right to one call until this moment, by both clocks.
    pub(super) fn permit(&self, write_before: Instant) -> Permit {
        let now = (self.clock)();
        let left = write_before.saturating_duration_since(Instant::now());
        let left = SignedDuration::try_from(left).unwrap_or(SignedDuration::ZERO);
        Permit::until(write_before, now.checked_add(left).unwrap_or(now))
    }

    /// 429s in a row.
    pub(super) fn refusals(&self) -> u32 {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).refusals
    }

    /// A call succeeded: a row of refusals or a block of that kind is over.
    pub(super) async fn note_success(&self, call: Call, observed: &Observed) -> Result<(), StoreError> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told = observed.allowed_per_minute;
        let is_refused = memory.refused_call.as_deref() == Some(call.as_str());
        if is_refused || (told.is_some() && told != memory.told_per_minute) {
            self.store.note_success(&self.terms.name, call, told).await?;
        }
        self.note_answered().await?;
        self.overcome(Hurdle::Call(call)).await
    }

    /// A call failed: one without an answer counts for the breaker, any other shows that upstream answers.
    pub(super) async fn note_failed(&self, call: Call, failure: &Failure) -> Result<(), StoreError> {
        let (Failure::NotSent(detail) | Failure::Unknown(detail)) = failure else {
            return self.note_answered().await;
        };
        if detail.call == "token" {
            // The login has waits of its own.
            return Ok(());
        }
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).has_failures = true;
        self.store.note_unanswered(&self.terms.name, call, &detail.to_string()).await
    }

    /// Upstream answers: a row of calls without an answer is over.
    async fn note_answered(&self) -> Result<(), StoreError> {
        let had_failures = {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut memory.has_failures)
        };
        if had_failures { self.store.note_answered(&self.terms.name).await } else { Ok(()) }
    }

    /// The cause is gone: a block by it is lifted.
    pub(super) async fn overcome(&self, hurdle: Hurdle) -> Result<(), StoreError> {
        if self.memory.lock().unwrap_or_else(PoisonError::into_inner).is_blocked {
            self.store.unblock_org(&self.terms.name, hurdle).await?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for OrgEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrgEngine").field("org", &self.terms.name).finish_non_exhaustive()
    }
}
