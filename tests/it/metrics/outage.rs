//! The metrics are needed most when the database is down.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use reqwest::{Method, StatusCode};

use super::Page;
use crate::support::Setup;
use crate::support::problem::refused;
use crate::support::proxy::Way;

#[tokio::test]
async fn without_a_database_they_tell_what_the_process_knows() {
    for way in [Way::Cut, Way::Silent] {
        let setup = Setup::new().role(Role::Api).env("PURGE__TELEMETRY__METRICS", "open");
        let test = setup.behind_proxy().start().await;
        test.proxy().set(way);
        let url = format!("{}/metrics", test.url);
        let answer = test.client.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{way:?}");
        let page = Page::read(&answer.text().await.unwrap());
        assert_eq!(page.count("genesys_purge_database_up", &[]), 0, "{way:?}");
        assert!(!page.0.contains_key("genesys_purge_purges_open"), "nothing stale is shown: {way:?}");
        assert!(page.0.contains_key("process_resident_memory_bytes"), "{way:?}");
        assert!(page.0.contains_key("genesys_purge_conversations_total"), "{way:?}");
        if way == Way::Cut {
            assert!(page.count("genesys_purge_database_errors_total", &[("kind", "outage")]) > 0);
        }
        let tries = |page: &Page| {
            page.count("genesys_purge_database_connection_wait_seconds", &[("pool", "requests")])
        };
        let mut last = None;
        for _ in 0..3 {
            let answer = test.client.get(&url).send().await.unwrap();
            last = Some(Page::read(&answer.text().await.unwrap()));
        }
        let more = tries(&last.unwrap()) - tries(&page);
        assert!(more <= 1, "three scrapes went {more} times for a database that is not there: {way:?}");
        test.end().await;
    }
}

#[tokio::test]
async fn without_a_database_a_key_that_was_let_through_still_is_and_no_other() {
    let test = Setup::new().role(Role::Api).behind_proxy().start().await;
    let other = test.make_key(&[Scope::Admin], None).await;
    let revoked = test.make_key(&[Scope::Admin], None).await;
    let ask = |key: &str| test.request_as(key, Method::GET, "/metrics");
    for key in [&test.key, &revoked] {
        assert_eq!(ask(key).send().await.unwrap().status(), StatusCode::OK);
    }
    test.sql(&format!("update api_keys set revoked_at = now() where prefix = '{}'", &revoked[..10])).await;
    refused(ask(&revoked), 401, "no_key").await;

    test.proxy().set(Way::Cut);
    let answer = ask(&test.key).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    Page::read(&answer.text().await.unwrap());
    for key in [&other, &revoked] {
        refused(ask(key), 503, "unavailable").await;
    }
    refused(test.client.get(format!("{}/metrics", test.url)), 401, "no_key").await;
    test.end().await;
}
