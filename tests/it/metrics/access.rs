//! Who may read the metrics, and of which processes.

use genesys_purge::app::{Role, Service, World};
use genesys_purge::domain::keys::Scope;
use reqwest::{Method, StatusCode};

use super::{Page, scrape};
use crate::support::Setup;
use crate::support::problem::refused;

#[tokio::test]
async fn only_a_key_with_the_scope_admin_for_every_org_reads_them() {
    let test = Setup::new().role(Role::Api).second_org().start().await;
    let ask = |key: &str| test.request_as(key, Method::GET, "/metrics");
    refused(test.client.get(format!("{}/metrics", test.url)), 401, "no_key").await;
    refused(ask("gpk_unknown"), 401, "no_key").await;
    let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| *scope != Scope::Admin).collect();
    refused(ask(&test.make_key(&others, None).await), 403, "missing_scope").await;
    refused(ask(&test.make_key(&[Scope::Admin], Some(&["eu"])).await), 403, "no_org").await;
    let response = ask(&test.make_key(&[Scope::Admin], None).await).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(scrape(&test).await.values("genesys_purge_org_blocked", "org"), ["default", "eu"].into());
}

#[tokio::test]
async fn where_they_are_open_anybody_reads_them() {
    let test = Setup::new().role(Role::Api).env("PURGE__TELEMETRY__METRICS", "open").start().await;
    let response = test.client.get(format!("{}/metrics", test.url)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    Page::read(&response.text().await.unwrap());
}

#[tokio::test]
async fn a_worker_answers_for_its_health_and_its_metrics_alone() {
    let test = Setup::new().role(Role::Api).start().await;
    let worker = Service::start(&test.settings, &World::machine(), &test.database.place(), Role::Worker)
        .await
        .unwrap();
    let ask =
        |path: &str| test.client.get(format!("http://{}{path}", worker.address())).bearer_auth(&test.key);
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(ask(path).send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
    for path in ["/purges", "/holds", "/openapi.json", "/docs/"] {
        refused(ask(path), 404, "no_such_path").await;
    }
    worker.stop().await;
}
