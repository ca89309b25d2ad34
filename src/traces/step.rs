//! A step of the engine under way, and the calls to Genesys that it makes.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Span, Traces};

/// Calls of a step that are recorded.
const MOST_CALLS: usize = 16;

tokio::task_local! {
    /// What the step of this task has called so far.
    static STEP: Step;
}

/// A step under way; a clone is the same.
#[derive(Debug, Clone)]
pub struct Step {
    name: &'static str,
    began: Timestamp,
    since: Instant,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// A call to Genesys.
#[derive(Debug, Clone)]
pub struct Call {
    name: &'static str,
    began: Timestamp,
    took: Duration,
    status: Option<u16>,
    error: Option<String>,
}

impl Step {
    /// Begins one, where anybody wants to know of it.
    pub fn begin(traces: &Traces, name: &'static str, clock: impl FnOnce() -> Timestamp) -> Option<Self> {
        traces.are_on().then(|| Self { name, began: clock(), since: Instant::now(), calls: Arc::default() })
    }

    /// Does its work; calls within are of this step.
    pub async fn around<T>(step: Option<Self>, work: impl Future<Output = T>) -> T {
        match step {
            Some(step) => STEP.scope(step, work).await,
            None => work.await,
        }
    }

    /// A call of the step of this task has ended; `failure` tells its status and what is said of it.
    pub fn called(name: &'static str, began: Instant, failure: Option<(Option<u16>, String)>) {
        let _ = STEP.try_with(|step| {
            let mut calls = step.calls.lock().unwrap_or_else(PoisonError::into_inner);
            if calls.len() < MOST_CALLS {
                let (status, error) = failure.map_or((None, None), |(status, error)| (status, Some(error)));
                let since = began.saturating_duration_since(step.since);
                let began = step.began.checked_add(since).unwrap_or(step.began);
                calls.push(Call {
                    name,
                    began,
                    took: step.since.elapsed().saturating_sub(since),
                    status,
                    error,
                });
            }
        });
    }

    /// What there is to record of it.
    pub fn end(&self) -> (Span, Vec<Call>) {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        (Span::new(self.name, self.began, self.since.elapsed()), calls)
    }
}

impl Call {
    pub(super) fn span(&self) -> Span {
        let mut span = Span::new(self.name, self.began, self.took);
        if let Some(status) = self.status {
            span = span.with("http.response.status_code", i64::from(status));
        }
        match &self.error {
            Some(error) => span.failed(error.clone()),
            None => span,
        }
    }
}
