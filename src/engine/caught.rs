//! Work that panics: it fails by itself, and whoever does it goes on.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt as _;

use super::OrgEngine;
use crate::genesys::{Answer, Detail, Failure, Observed};
use crate::traces::Step;

/// How a step ended that panicked.
pub(super) const PANICKED: &str = "panicked";

/// Does the work; where it panics, what it said.
///
/// Its half-done transaction is rolled back, its lease runs out, and what it holds in memory is not looked at again: each
/// turn and each step begins with what the database knows.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| said(&*panic).to_owned())
}

impl OrgEngine {
    /// Makes a call of this name. Where its driver panics, over an answer that nobody thought of, that is no answer: what it was
    /// about is asked again, later, and alone before long.
    pub(super) async fn call<T>(
        &self,
        call: &'static str,
        calling: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        let began = Instant::now();
        let panic = match caught(calling).await {
            Ok(answer) => {
                let failure = answer.result.as_ref().err().map(Failure::detail);
                Step::called(call, began, failure.map(|detail| (detail.status, detail.to_string())));
                return answer;
            }
            Err(panic) => panic,
        };
        let org = &self.terms.name;
        tracing::error!(org, call, panic, "a call panicked; it counts as without an answer");
        self.meters.step("call", org).end(PANICKED);
        let detail = Detail {
            call,
            status: None,
            code: None,
            // What a panic says may hold anything of an answer: the log has it.
            message: "this service failed on it; see its log".to_owned(),
            context_id: None,
            correlation_id: None,
        };
        Answer { result: Err(Failure::Unknown(Box::new(detail))), observed: Observed::default() }
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
