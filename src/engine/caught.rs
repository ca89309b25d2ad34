//! Catches panics in calls: the call fails, its caller goes on.

use std::future::Future;
use std::time::Instant;

use super::OrgEngine;
use crate::genesys::{Answer, Detail, Failure, Observed};
use crate::store::{PANICKED, caught};
use crate::traces::Step;

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
