//! Every call of the contract exists: what is not built yet is refused by key, then by scope, then as not supported.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use reqwest::{Method, StatusCode};
use sqlx::Executor as _;

use crate::support::Setup;
use crate::support::problem::refused;

/// The calls of the contract that wait for their issue, with the scope that each will need. Whoever builds one takes
/// it out here, and gives it tests of its own.
const UNBUILT: &[(&str, &str, Scope)] = &[
    ("POST", "/purges/1/approve", Scope::PurgesApprove),
    ("POST", "/purges/1/reject", Scope::PurgesApprove),
    ("GET", "/purges/1/certificate", Scope::PurgesRead),
    ("GET", "/erasures?since=1", Scope::PurgesRead),
    ("GET", "/audit", Scope::Admin),
    ("GET", "/audit/verify", Scope::Admin),
];

#[tokio::test]
async fn calls_that_are_not_built_are_refused_by_key_then_by_scope_then_as_not_supported() {
    let test = Setup::new().role(Role::Api).start().await;
    for (method, path, scope) in UNBUILT {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let ask = |key: &str| test.request_as(key, method.clone(), path).body("whatever it says");
        refused(test.client.request(method.clone(), format!("{}{path}", test.url)), 401, "no_key").await;
        refused(ask("gpk_unknown"), 401, "no_key").await;
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|other| other != scope).collect();
        let problem = refused(ask(&test.make_key(&others, None).await), 403, "missing_scope").await;
        assert!(problem["detail"].as_str().unwrap().contains(scope.as_str()), "{method} {path}: {problem}");
        refused(ask(&test.make_key(&[*scope], None).await), 422, "not_supported_yet").await;
    }
}

#[tokio::test]
async fn calls_that_are_not_built_wait_for_nobody_who_reads() {
    let test = Setup::new().role(Role::Api).connections(|terms| terms.reads = 1).start().await;
    let mut lock = test.lock("holds in access exclusive").await;
    let reads = tokio::spawn(test.request(Method::GET, "/holds").send());
    test.until_waiting(1).await;
    refused(test.request(Method::GET, "/erasures"), 422, "not_supported_yet").await;
    assert!(!reads.is_finished(), "it waited for who reads");
    lock.execute("rollback").await.unwrap();
    assert_eq!(reads.await.unwrap().unwrap().status(), StatusCode::OK);
}
