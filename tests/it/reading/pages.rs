//! Pages: whole, in order, filtered; a cursor belongs to its list alone.

use genesys_purge::app::Role;
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::{all, keys, mixed};
use crate::support::Setup;
use crate::support::problem::{pointers, refused};

fn ids_of(pages: &[Vec<Value>]) -> Vec<Uuid> {
    let rows = pages.iter().flatten();
    rows.map(|row| row["conversationId"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn conversations_come_in_the_order_of_the_request_whatever_the_page() {
    let (test, mut ids) = mixed().await;
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let purge = test.purge(&ids).await;
    test.finished(purge).await;
    for limit in [1, 7, 50, 100, 1000] {
        let pages = all(&test, &format!("/purges/{purge}/conversations?limit={limit}")).await;
        assert_eq!(ids_of(&pages), ids, "limit {limit}");
        assert!(pages.iter().all(|page| page.len() <= limit));
    }
    for row in all(&test, &format!("/purges/{purge}/conversations?limit=1000")).await.concat() {
        let fields = [
            "code",
            "conversationId",
            "decidedAt",
            "detail",
            "holdCount",
            "holdId",
            "jobId",
            "matter",
            "outcome",
        ];
        assert_eq!(keys(&row), fields);
        assert!(row["code"].is_string() && row["decidedAt"].is_string(), "{row}");
    }
}

#[tokio::test]
async fn a_filter_yields_those_with_that_outcome_and_no_others() {
    let (test, ids) = mixed().await;
    let purge = test.purge(&ids).await;
    test.finished(purge).await;
    let mut seen = 0;
    for outcome in super::OUTCOMES {
        let expected: Vec<Uuid> = ids
            .iter()
            .copied()
            .filter(|id| test.sandbox.sandbox().expected_outcome(*id).unwrap().name() == outcome)
            .collect();
        let pages = all(&test, &format!("/purges/{purge}/conversations?outcome={outcome}&limit=3")).await;
        assert_eq!(ids_of(&pages), expected, "{outcome}");
        assert!(pages.iter().flatten().all(|row| row["outcome"] == outcome));
        seen += expected.len();
    }
    assert_eq!(seen, ids.len());
}

#[tokio::test]
async fn pages_reach_over_slices_and_an_undecided_row_says_so() {
    let test = Setup::new().role(Role::Api).start().await;
    let ids: Vec<Uuid> = (1..=1201).map(Uuid::from_u128).collect();
    let purge = test.purge(&ids).await;
    for limit in [499, 500, 501, 1000] {
        let pages = all(&test, &format!("/purges/{purge}/conversations?limit={limit}")).await;
        assert_eq!(ids_of(&pages), ids, "limit {limit}");
    }
    assert_eq!(
        ids_of(&all(&test, &format!("/purges/{purge}/conversations?outcome=pending")).await).len(),
        1201
    );
    assert!(ids_of(&all(&test, &format!("/purges/{purge}/conversations?outcome=purged")).await).is_empty());
    let default = test.get(&format!("/purges/{purge}/conversations")).await;
    assert_eq!(default["items"].as_array().unwrap().len(), 100);
    let row = &default["items"][0];
    assert_eq!(
        (&row["outcome"], &row["code"], &row["decidedAt"]),
        (&"pending".into(), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a_cursor_of_another_list_or_another_filter_is_refused() {
    let test = Setup::new().role(Role::Api).start().await;
    let ids: Vec<Uuid> = (1..=5).map(Uuid::from_u128).collect();
    let (one, other) = (test.purge(&ids).await, test.purge(&ids).await);
    let cursor = async |path: String| test.get(&path).await["nextCursor"].as_str().unwrap().to_owned();
    let plain = cursor(format!("/purges/{one}/conversations?limit=2")).await;
    let filtered = cursor(format!("/purges/{one}/conversations?limit=2&outcome=pending")).await;
    for path in [
        format!("/purges/{other}/conversations?cursor={plain}"),
        format!("/purges/{one}/conversations?outcome=pending&cursor={plain}"),
        format!("/purges/{one}/conversations?outcome=purged&cursor={filtered}"),
        format!("/purges/{one}/conversations?cursor={filtered}"),
        format!("/purges/{one}/jobs?cursor={plain}"),
        format!("/holds?cursor={plain}"),
        format!("/purges/{one}/conversations?cursor={plain}x"),
        format!("/purges/{one}/conversations?cursor={}", &plain[..plain.len() - 2]),
    ] {
        let problem = refused(test.request(Method::GET, &path), 400, "invalid_query").await;
        assert_eq!(pointers(&problem), ["?cursor"], "{path}");
    }
    let rest = test.get(&format!("/purges/{one}/conversations?limit=3&cursor={plain}")).await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 3, "its own list takes it, with another limit too");
    assert_eq!(rest["nextCursor"], Value::Null);
}
