//! Catches panics: the work fails, its caller goes on.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use super::{Store, StoreError};

/// Does the work; returns the panic message if it panics.
///
/// Its half-done transaction is rolled back, its lease runs out, and its state in memory is dropped: each turn and
/// each step starts from the database.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| said(&*panic).to_owned())
}

/// How a step ended that panicked.
pub(crate) const PANICKED: &str = "panicked";

impl Store {
    /// Does a step; a panic becomes an error like any other, and its message is logged.
    pub(super) async fn caught<T>(
        &self,
        step: &'static str,
        org: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        caught(work).await.unwrap_or_else(|panic| {
            tracing::error!(org, step, panic, "a step panicked");
            self.meters.step(step, org).end(PANICKED);
            Err(StoreError::Panicked { step })
        })
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_is_told_and_goes_no_further() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        let number = 3;
        let panicked = async move { assert!(number < 3, "{number} is too much") };
        assert_eq!(caught(panicked).await, Err("3 is too much".to_owned()));
    }
}
