//! Calls without an answer: the query goes on, and an id that never gets one ends by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use genesys_purge::app::{Role, World, engine_terms, org_terms};
use genesys_purge::domain::facts::{End, Facts, Presence};
use genesys_purge::domain::terms::EngineTerms;
use genesys_purge::engine::{Chance, Engine, OrgEngine};
use genesys_purge::genesys::{
    Answer, Detail, Failure, JobStatus, Lane, LoginTrouble, NotReady, Observed, Permit, TokenLife, Told,
    Upstream, UpstreamJobId,
};
use genesys_purge::sandbox::{Call, Kind};
use serde_json::json;
use uuid::Uuid;

use crate::support::books::{all_final, assert_books};
use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

/// An upstream that answers no call that names one certain id, and calls all others held.
struct Poisoned {
    id: Uuid,
    /// Its driver panics over that id.
    panics: bool,
    calls: AtomicUsize,
}

fn unanswered() -> Failure {
    Failure::Unknown(Box::new(Detail {
        call: "facts",
        status: Some(500),
        code: None,
        message: "no answer".to_owned(),
        context_id: None,
        correlation_id: None,
    }))
}

fn answer<T>(result: Result<T, Failure>) -> Answer<T> {
    Answer { result, observed: Observed::default() }
}

#[async_trait]
impl Upstream for Poisoned {
    async fn ready(&self, _lane: Lane) -> Result<(), NotReady> {
        Ok(())
    }

    async fn facts(&self, ids: &[Uuid], _permit: Permit) -> Answer<Told> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if ids.contains(&self.id) {
            assert!(!self.panics, "an answer that nobody thought of");
            return answer(Err(unanswered()));
        }
        let facts = Facts { presence: Presence::Held, end: End::NotYet };
        let facts = ids.iter().map(|id| (*id, facts.clone())).collect();
        answer(Ok(Told { facts, incomplete: None }))
    }

    async fn submit(&self, _ids: &[Uuid], _permit: Permit) -> Answer<UpstreamJobId> {
        answer(Err(unanswered()))
    }

    async fn poll(&self, _upstream_job_id: &str, _permit: Permit) -> Answer<JobStatus> {
        answer(Err(unanswered()))
    }

    fn body_digest(&self, _ids: &[Uuid]) -> [u8; 32] {
        [0; 32]
    }

    fn token_life(&self) -> Option<TokenLife> {
        None
    }

    fn login_trouble(&self) -> Option<LoginTrouble> {
        None
    }
}

/// An engine on this upstream, which gives up on what has no answer after so long.
async fn engine(test: &TestService, upstream: Arc<Poisoned>, job_deadline: Duration) -> Engine {
    let terms = EngineTerms { job_deadline, ..engine_terms(&test.settings) };
    let org = org_terms("default", &test.settings.orgs["default"]);
    let (store, clock) = (test.store().await, World::machine().clock());
    Engine::start(
        vec![OrgEngine::new(org, terms, upstream, store, clock, Chance::new(1))],
        4,
        terms.shutdown_grace,
    )
}

#[tokio::test]
async fn an_id_that_never_has_an_answer_ends_unverified_and_everybody_else_is_told() {
    ends_unverified_alone(false).await;
}

#[tokio::test]
async fn an_id_over_whose_answer_the_driver_panics_ends_unverified_and_everybody_else_is_told() {
    ends_unverified_alone(true).await;
}

async fn ends_unverified_alone(panics: bool) {
    let test = Setup::new().role(Role::Api).start().await;
    let ids: Vec<Uuid> = (1..=60).map(Uuid::from_u128).collect();
    let upstream = Arc::new(Poisoned { id: ids[17], panics, calls: AtomicUsize::new(0) });
    let (purge, neighbour) = (test.purge(&ids[..40]).await, test.purge(&ids[40..]).await);
    let engine = engine(&test, Arc::clone(&upstream), Duration::from_millis(500)).await;
    all_final(&test).await;
    engine.stop().await;
    assert_eq!(test.endings(neighbour).await, endings([("on_hold upstream_legal_hold", 20)]));
    assert_eq!(
        test.endings(purge).await,
        endings([("failed unverified", 1), ("on_hold upstream_legal_hold", 39)])
    );
    let failed = &test.conversations(purge).await[17];
    assert_eq!((&failed["conversationId"], &failed["code"]), (&json!(ids[17]), &json!("unverified")));
    let calls = upstream.calls.load(Ordering::Relaxed);
    assert!(calls < 60, "{calls} calls until it stood alone");
    assert_books(&test).await;
}

#[tokio::test]
async fn what_stands_alone_waits_for_its_deadline_and_makes_no_other_call_fail() {
    let test = Setup::new().role(Role::Api).start().await;
    let ids: Vec<Uuid> = (1..=10).map(Uuid::from_u128).collect();
    let upstream = Arc::new(Poisoned { id: ids[3], panics: false, calls: AtomicUsize::new(0) });
    let purge = test.purge(&ids[..4]).await;
    let engine = engine(&test, Arc::clone(&upstream), Duration::from_hours(1)).await;
    test.wait_until("it stands alone", async || {
        test.number("select count(*) from slices where silent = '{3}' and pending = 1").await == 1
    })
    .await;
    let before = upstream.calls.load(Ordering::Relaxed);
    let others = test.purge(&ids[3..]).await;
    let body = test.purge_when(others, |body| body["counts"]["on_hold"] == json!(6)).await;
    engine.stop().await;
    assert_eq!(body["counts"]["pending"], 1, "{body}");
    assert_eq!(test.get(&format!("/purges/{purge}")).await["state"], "running");
    let calls = upstream.calls.load(Ordering::Relaxed) - before;
    assert!(calls < 30, "{calls} calls");
}

/// A quarter of all calls that ask for facts fails, in every way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarter_of_calls_that_fail_at_random_shrinks_nothing_and_keeps_nobody() {
    let test = Setup::new()
        .env("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "50")
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "4")
        .sandbox(|org| {
            org.conversations = 1000;
            org.seed = 5;
        })
        .start()
        .await;
    for fault in [
        json!({ "status": 503 }),
        json!({ "reset": "before" }),
        json!({ "reset": "after" }),
        json!({ "garbage": "cutJson" }),
        json!({ "garbage": "html" }),
        json!({ "status": 504 }),
    ] {
        test.fault(json!({ "call": "details", "share": 0.045, "fault": fault }));
    }
    let ids = test.ids_of(Kind::Eligible);
    let purge = test.purge(&ids).await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("completed"), &json!(1000)), "{body}");
    let sizes: Vec<usize> =
        test.log(Call::Details).iter().map(|entry| entry.ids).filter(|ids| *ids > 0).collect();
    assert!(sizes.len() < 120, "{} calls: {sizes:?}", sizes.len());
    let small = sizes.iter().filter(|size| **size < 25).count();
    assert!(small <= 8, "pieces shrank: {sizes:?}");
    test.assert_purged_once(&ids);
    assert_books(&test).await;
}
