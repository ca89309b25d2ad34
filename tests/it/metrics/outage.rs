//! The metrics while the database is away, which is when they are needed most.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use reqwest::Method;

use super::scrape;
use crate::support::Setup;
use crate::support::problem::refused;

#[tokio::test]
async fn what_the_process_knows_is_told_to_keys_that_were_let_through_before() {
    let test = Setup::new().role(Role::Api).start().await;
    let other = test.make_key(&[Scope::Admin], None).await;
    let before = scrape(&test).await;
    assert_eq!(before.sum("genesys_purge_database_up", &[]), 1);
    test.database.shut().await;
    refused(test.request(Method::GET, "/purges"), 503, "unavailable").await;
    refused(test.request_as(&other, Method::GET, "/metrics"), 503, "unavailable").await;
    // What was read before is shown for a few seconds.
    let mut page = scrape(&test).await;
    for _ in 0..400 {
        if page.sum("genesys_purge_database_up", &[]) == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        page = scrape(&test).await;
    }
    assert_eq!(page.sum("genesys_purge_database_up", &[]), 0);
    assert!(page.sum("genesys_purge_database_errors_total", &[("kind", "outage")]) > 0);
    assert!(!page.0.contains_key("genesys_purge_purges_open"), "nothing stale is shown");
    assert!(page.sum("genesys_purge_http_requests_total", &[("status", "503")]) >= 2);
}
