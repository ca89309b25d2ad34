//! How long a dispatcher may sleep: until the next work is due, and never very long, since notifications can be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::store::views::survey::Survey;

/// A dispatcher that hears nothing looks at least so often.
pub(super) const FALLBACK: Duration = Duration::from_secs(5);

/// Without notifications.
const DEAF: Duration = Duration::from_millis(250);

/// Whether notifications of other processes arrive; all clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ears(Arc<AtomicBool>);

impl Ears {
    pub(super) fn set(&self, is_heard: bool) {
        self.0.store(is_heard, Ordering::Relaxed);
    }

    /// Maximum sleep.
    pub(super) fn longest_sleep(&self) -> Duration {
        if self.0.load(Ordering::Relaxed) { FALLBACK } else { DEAF }
    }
}

/// Until the earliest of the moments that lie ahead.
pub(super) fn until_next(survey: &Survey, has_work: bool) -> Duration {
    let ahead = [
        survey.next_job_at,
        survey.first_slice_at,
        survey.slice_at,
        survey.next_freeing_at,
        survey.shut_until.filter(|_| has_work),
        Some(survey.permit_at).filter(|_| has_work),
    ];
    let wait =
        |at: Timestamp| Duration::try_from(at.duration_since(survey.now)).ok().filter(|wait| !wait.is_zero());
    ahead.into_iter().flatten().filter_map(wait).min().unwrap_or(FALLBACK).min(FALLBACK)
}
