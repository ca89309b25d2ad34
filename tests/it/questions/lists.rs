//! `GET /purges` by requester and by times, alone and together with all other filters; and as CSV.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use jiff::Timestamp;
use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::support::problem::refused;
use crate::support::service::read;
use crate::support::{Setup, TestService};

/// What a test knows of a purge that it made.
#[derive(Debug, Clone)]
struct Made {
    id: String,
    org: &'static str,
    state: &'static str,
    reference: Option<&'static str>,
    by: &'static str,
    created: Timestamp,
    finished: Option<Timestamp>,
}

fn day(day: i8) -> Timestamp {
    format!("2026-03-{day:02}T12:00:00.123456Z").parse().unwrap()
}

/// Purges of two orgs and two requesters on six days, the newest first; two of a moment.
async fn stage() -> (TestService, Vec<Made>) {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let mut made = Vec::new();
    for (by, org) in [("ann", "default"), ("bob", "eu"), ("ann", "eu")] {
        let key = test.make_key_of(by, Scope::ALL, None).await;
        for number in 1..=6 {
            let state = ["queued", "completed", "failed"][usize::try_from(number).unwrap() % 3];
            let reference = (number % 2 == 0).then_some("R");
            let body = json!({ "conversationIds": [Uuid::from_u128(7)], "org": org, "reference": reference });
            let (_, purge) =
                read(test.request_as(&key, Method::POST, "/purges").json(&body).send().await.unwrap()).await;
            let id = purge["id"].as_str().unwrap().to_owned();
            let finished = (state != "queued").then(|| day(20 - number));
            let ended = finished.map_or("null".to_owned(), |at| format!("'{at}'"));
            test.sql(&format!(
                "update purges set state = '{state}', pending = 1 - ({ended}::timestamptz is not null)::int,
                        failed = ({ended}::timestamptz is not null and '{state}' = 'failed')::int,
                        on_hold = ({ended}::timestamptz is not null and '{state}' = 'completed')::int,
                        created_at = '{at}', finished_at = {ended}
                 where id = '{id}';
                 update purge_requests set created_at = '{at}' where purge_id = '{id}'",
                at = day(number)
            ))
            .await;
            made.push(Made { id, org, state, reference, by, created: day(number), finished });
        }
    }
    (test, made)
}

async fn all(test: &TestService, key: &str, path: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{path}&limit=2{cursor}");
        let (status, page) = read(test.request_as(key, Method::GET, &path).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{path}: {page}");
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        found.extend(items.iter().map(|purge| purge["id"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// The columns of a CSV by name, of one row each.
fn rows(csv: &str) -> Vec<Vec<&str>> {
    assert!(csv.ends_with("\r\n"), "{csv}");
    csv.trim_end().split("\r\n").map(|line| line.split(',').collect()).collect()
}

async fn csv(test: &TestService, key: &str, path: &str) -> String {
    let response = test.request_as(key, Method::GET, path).header(ACCEPT, "text/csv").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8; header=present");
    response.text().await.unwrap()
}

#[tokio::test]
async fn times_and_requesters_alone_and_with_other_filters_yield_those_that_meet_them() {
    let (test, made) = stage().await;
    let eu = test.make_key(&[Scope::PurgesRead], Some(&["eu"])).await;
    let mut seen = 0;
    for (after, before, finished) in [
        (None, None, None),
        (Some(2), None, None),
        (None, Some(5), None),
        (Some(2), Some(5), None),
        (Some(6), Some(2), None),
        (None, None, Some(16)),
        (Some(2), Some(4), Some(15)),
    ] {
        for by in [None, Some("ann"), Some("bob"), Some("nobody")] {
            for state in [None, Some("failed"), Some("queued")] {
                for reference in [None, Some("R")] {
                    for (key, org) in [(&test.key, None), (&test.key, Some("eu")), (&eu, None)] {
                        let (after, before, finished) = (after.map(day), before.map(day), finished.map(day));
                        let mut expected: Vec<Made> = made
                            .iter()
                            .filter(|made| after.is_none_or(|after| made.created >= after))
                            .filter(|made| before.is_none_or(|before| made.created < before))
                            .filter(|made| {
                                finished.is_none_or(|after| made.finished.is_some_and(|at| at >= after))
                            })
                            .filter(|made| by.is_none_or(|by| by == made.by))
                            .filter(|made| state.is_none_or(|state| state == made.state))
                            .filter(|made| reference.is_none_or(|wanted| Some(wanted) == made.reference))
                            .filter(|made| {
                                org.is_none_or(|org| org == made.org) && (key != &eu || made.org == "eu")
                            })
                            .cloned()
                            .collect();
                        let time = |name: &str, at: Option<Timestamp>| {
                            at.map_or_else(String::new, |at| format!("&{name}={at}"))
                        };
                        let text = |name: &str, text: Option<&str>| {
                            text.map_or_else(String::new, |text| format!("&{name}={text}"))
                        };
                        let path = [
                            "/purges?".to_owned(),
                            time("createdAfter", after),
                            time("createdBefore", before),
                            time("finishedAfter", finished),
                            text("requestedBy", by),
                            text("state", state),
                            text("reference", reference),
                            text("org", org),
                        ]
                        .concat();
                        let found = all(&test, key, &path).await;
                        let of = |id: &String| made.iter().find(|made| made.id == *id).unwrap();
                        let order: Vec<_> =
                            found.iter().map(|id| (of(id).finished, of(id).created)).collect();
                        if finished.is_some() {
                            assert!(order.is_sorted_by(|a, b| a.0 >= b.0), "{path}: {order:?}");
                        }
                        let is_by_time = reference.is_none() && state != Some("queued");
                        if finished.is_none() && is_by_time && (after.or(before).is_some() || by.is_some()) {
                            assert!(order.is_sorted_by(|a, b| a.1 >= b.1), "{path}: {order:?}");
                        }
                        let mut sorted = found.clone();
                        sorted.sort_unstable();
                        expected.sort_unstable_by(|a, b| a.id.cmp(&b.id));
                        assert_eq!(
                            sorted,
                            expected.iter().map(|made| made.id.clone()).collect::<Vec<_>>(),
                            "{path}"
                        );
                        let table = csv(&test, key, &path).await;
                        let told: Vec<&str> = rows(&table)[1..].iter().map(|row| row[0]).collect();
                        assert_eq!(told, found, "{path}");
                        seen += found.len();
                    }
                }
            }
        }
    }
    assert!(seen > 400, "{seen}");
}

#[tokio::test]
async fn csv_has_a_column_for_each_field_and_no_formulas() {
    let test = Setup::new().role(Role::Api).start().await;
    let body = json!({
        "conversationIds": [Uuid::from_u128(7), Uuid::from_u128(7)], "reason": "=cmd()", "reference": "+R-7",
        "labels": { "team": "=a" }, "dryRun": true,
    });
    let purge = test.purge_with(body).await;
    let (_, paused) = test.post(&format!("/purges/{purge}/pause"), &json!({ "reason": "@later" })).await;
    let table = csv(&test, &test.key, "/purges").await;
    let lines: Vec<&str> = table.trim_end().split("\r\n").collect();
    let head: Vec<&str> = lines[0].split(',').collect();
    let labels = r#""{""team"":""=a""}""#;
    let at = &paused["acts"][0]["at"];
    let expected = [
        purge.to_string(),
        "paused,1,default,true,'=cmd(),'+R-7".to_owned(),
        labels.to_owned(),
        format!("tester,{},,", paused["createdAt"].as_str().unwrap()),
        format!(",,pause,tester,'@later,{}", at.as_str().unwrap()),
        "1,1,1,0,0,0,0,0,0,0,0,0,0,0".to_owned(),
    ];
    assert_eq!(lines[1..], [expected.join(",")]);
    assert_eq!(head.len(), expected.join(",").split(',').count());
    // Whoever reads JSON gets JSON, and nobody gets what was not asked for.
    assert_eq!(test.get("/purges").await["items"][0]["id"], json!(purge));
    let get = |path: &str, accept: &str| test.request(Method::GET, path).header(ACCEPT, accept.to_owned());
    for path in ["/purges?limit=2", "/purges?cursor=x"] {
        refused(get(path, "text/csv"), 400, "invalid_query").await;
    }
    refused(get("/purges", "text/html"), 406, "not_acceptable").await;
    refused(
        test.request(Method::POST, "/purges").header(ACCEPT, "text/csv").json(&json!({})),
        406,
        "not_acceptable",
    )
    .await;
    let json = get("/purges", "text/csv;q=0.5, application/json").send().await.unwrap();
    assert_eq!(json.headers()["content-type"], "application/json");
    assert!(json.headers()["vary"].to_str().unwrap().to_lowercase().contains("accept"));
    refused(get("/purges", "text/csv").version(reqwest::Version::HTTP_10), 505, "http_version").await;
    assert_eq!(csv(&test, &test.key, "/purges?org=nowhere").await, format!("{}\r\n", lines[0]));
    let none = test.make_key(&[Scope::PurgesRead], Some(&[])).await;
    assert_eq!(csv(&test, &none, "/purges").await, format!("{}\r\n", lines[0]));
}

#[tokio::test]
async fn csv_of_more_than_a_piece_is_whole() {
    const MANY: usize = 1203;
    let test = Setup::new().role(Role::Api).start().await;
    test.sql(&format!(
        "insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, turn_at, duplicates, total, pending)
         select gen_random_uuid(), 'default', 'queued', false, 't', 'r', now() - no * interval '1 second', now(), 0, 1, 1
         from generate_series(1, {MANY}) no"
    ))
    .await;
    for query in ["", "?requestedBy=t", "?state=queued&createdBefore=2090-01-01T00:00:00Z"] {
        let table = csv(&test, &test.key, &format!("/purges{query}")).await;
        let ids: std::collections::BTreeSet<&str> = rows(&table)[1..].iter().map(|row| row[0]).collect();
        assert_eq!((ids.len(), table.lines().count()), (MANY, MANY + 1), "{query}");
    }
}

#[tokio::test]
async fn times_that_are_none_are_refused_and_far_ones_are_not() {
    let (test, made) = stage().await;
    for name in ["createdAfter", "createdBefore", "finishedAfter"] {
        for wrong in ["", "now", "2026-11-25", "12"] {
            let problem =
                refused(test.request(Method::GET, &format!("/purges?{name}={wrong}")), 400, "invalid_query")
                    .await;
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(name) && detail.contains("must be a time such as"), "{problem}");
        }
    }
    for (query, number) in [
        ("createdAfter=0001-01-01T00:00:00Z", made.len()),
        ("createdBefore=0001-01-01T00:00:00Z", 0),
        ("createdBefore=9999-12-30T00:00:00Z", made.len()),
        ("createdAfter=9999-12-30T00:00:00Z", 0),
        ("finishedAfter=9999-12-30T00:00:00Z", 0),
        ("requestedBy=%00", 0),
        ("requestedBy=", 0),
    ] {
        assert_eq!(all(&test, &test.key, &format!("/purges?{query}")).await.len(), number, "{query}");
    }
    let cursor = test.get("/purges?limit=1&requestedBy=ann").await["nextCursor"].as_str().unwrap().to_owned();
    let other = format!("/purges?limit=1&requestedBy=bob&cursor={cursor}");
    refused(test.request(Method::GET, &other), 400, "invalid_query").await;
}
