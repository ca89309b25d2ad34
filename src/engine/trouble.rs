//! What a failed call means for its org, and how long the step waits.

use std::time::Duration;

use serde_json::Value;

use super::OrgEngine;
use crate::domain::backoff;
use crate::genesys::{Detail, Failure};
use crate::store::StoreError;
use crate::store::orgs::block::{Block, PROBE_EVERY};
use crate::store::orgs::hurdle::Hurdle;
use crate::store::orgs::limiter::Call;

impl OrgEngine {
    /// Blocks the org or makes it wait if the failure says so; returns how long the step that made the call waits.
    pub(super) async fn after_failure(
        &self,
        call: Call,
        failure: &Failure,
        tries: u32,
    ) -> Result<Duration, StoreError> {
        let wait = self.wait_after(failure, tries);
        self.note_failure(call, failure, wait).await?;
        Ok(wait)
    }

    /// How long the step that made the call waits.
    pub(super) fn wait_after(&self, failure: &Failure, tries: u32) -> Duration {
        match failure {
            Failure::TokenRefused(_) => Duration::ZERO,
            Failure::Throttled { wait, .. } => {
                wait.unwrap_or_else(|| backoff::throttled(self.refusals(), self.chance.fraction()))
            }
            Failure::Forbidden { .. } | Failure::WrongUpstream(_) => PROBE_EVERY,
            Failure::NotSent(_)
            | Failure::Conflict { .. }
            | Failure::Invalid(_)
            | Failure::Refused(_)
            | Failure::Missing(_)
            | Failure::Unknown(_) => backoff::step(tries, self.chance.fraction()),
        }
    }

    /// Blocks the org or makes it wait if the failure says so.
    pub(super) async fn note_failure(
        &self,
        call: Call,
        failure: &Failure,
        wait: Duration,
    ) -> Result<(), StoreError> {
        match failure {
            Failure::Throttled { .. } => self.store.close_limiter(&self.terms.name, call, wait).await,
            Failure::Forbidden { detail, missing } => {
                self.block(Hurdle::Call(call), "forbidden", format!("{detail}; {missing}")).await
            }
            // A call that this upstream does not know says nothing about any conversation.
            Failure::WrongUpstream(detail) => {
                let code = if call == Call::Details { "details_refused" } else { "wrong_upstream" };
                let org = &self.terms.name;
                let detail = format!("{detail}; this does not look like Genesys: check orgs.{org}.base_url");
                self.block(Hurdle::Call(call), code, detail).await
            }
            Failure::Refused(detail) if call == Call::Details => {
                self.block(Hurdle::Call(call), "details_refused", detail.to_string()).await
            }
            _ => Ok(()),
        }
    }

    /// Blocks the org if too many of its last jobs conflicted: upstream protects conversations by rules that our
    /// checks do not see, and the search for each costs many calls.
    pub(super) async fn note_conflict(&self) -> Result<(), StoreError> {
        let limit = self.terms.conflict_limit;
        let conflicts = self.store.count_conflicts(&self.terms.name, limit.jobs).await?;
        if !conflicts.are_too_many(limit) {
            return Ok(());
        }
        let detail = format!(
            "of the last {} jobs {} were refused because upstream protects conversations of which our checks know nothing; \
             find out what protects them, then resume the org, or change orgs.{}.max_conflict_percent",
            conflicts.jobs, conflicts.conflicted, self.terms.name
        );
        self.block(Hurdle::Conflicts, "too_many_conflicts", detail).await
    }

    /// Blocks the org: its work waits, nothing fails.
    pub(super) async fn block(&self, hurdle: Hurdle, code: &str, detail: String) -> Result<(), StoreError> {
        let block = Block { hurdle, code: code.to_owned(), detail };
        self.store.block_org(&self.terms.name, &block).await
    }
}

/// The text of a failure that is stored as a job's last error.
pub(super) fn last_error(detail: &Detail) -> Value {
    serde_json::to_value(detail).unwrap_or_else(|_| Value::String(detail.to_string()))
}
