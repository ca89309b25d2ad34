//! The steps that a dispatcher hands to its workers: what happens when one ends, is cut or panics.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Dispatcher;
use crate::engine::give_back::Held;
use crate::store::{PANICKED, StoreError, caught};
use crate::traces::Step;

impl Dispatcher {
    /// Does a step; its end wakes the dispatcher, because other work may be due now. If it is cut or panics, its work
    /// is released.
    pub(super) fn spawn(
        &self,
        worker: OwnedSemaphorePermit,
        name: &'static str,
        held: Held,
        step: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) {
        let (wake, abort) = (Arc::clone(&self.wake), self.crew.abort.clone());
        let engine = Arc::clone(&self.org);
        let timed = engine.meters.step(name, &engine.terms.name);
        let traced = Step::begin(&engine.traces, name, || (engine.clock)());
        self.crew.tasks.spawn(async move {
            let done = abort.run_until_cancelled(Step::around(traced.clone(), caught(step))).await;
            drop(worker);
            match &done {
                Some(Ok(done)) => timed.end(ending(done, false)),
                Some(Err(panic)) => {
                    timed.end(PANICKED);
                    engine.set_back(name, &held, panic).await;
                }
                None => engine.give_back(&held).await,
            }
            engine.trace(traced.as_ref(), &held, ended(done.as_ref())).await;
            let org = &engine.terms.name;
            match done {
                Some(Ok(Err(error @ StoreError::LeaseLost { .. }))) => {
                    tracing::warn!(org, %error, "a step took longer than its lease; its result is dropped");
                }
                Some(Ok(Err(error))) => {
                    tracing::error!(org, %error, "a step failed; its lease will run out");
                }
                Some(Ok(Ok(())) | Err(_)) | None => {}
            }
            wake.notify_one();
        });
    }
}

/// How a step ended, cut ones included.
fn ended(done: Option<&Result<Result<(), StoreError>, String>>) -> &'static str {
    match done {
        Some(Ok(done)) => ending(done, false),
        Some(Err(_)) => PANICKED,
        None => "cut",
    }
}

/// How a step ended, as a label of the metrics.
pub(super) fn ending<T>(done: &Result<T, StoreError>, is_idle: bool) -> &'static str {
    match done {
        Ok(_) if is_idle => "idle",
        Ok(_) => "ok",
        Err(StoreError::LeaseLost { .. }) => "lease_lost",
        Err(_) => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_came_too_late_did_not_fail() {
        let lost = StoreError::LeaseLost { what: "job", id: uuid::Uuid::nil() };
        let refused = StoreError::Database { transaction: "settle", source: sqlx::Error::PoolTimedOut };
        assert_eq!(ending::<()>(&Err(lost), false), "lease_lost");
        assert_eq!(ending::<()>(&Err(refused), true), "failed");
        assert_eq!((ending(&Ok(()), true), ending(&Ok(()), false)), ("idle", "ok"));
    }
}
