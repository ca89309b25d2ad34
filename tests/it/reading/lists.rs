//! Lists: every filter of `GET /purges`, alone and together, for keys of all orgs and of one; and what is in none.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{all, keys};
use crate::support::problem::{pointers, refused};
use crate::support::service::read;
use crate::support::{Setup, TestService};

/// What a test knows of a purge that it made.
struct Made {
    id: String,
    org: &'static str,
    state: &'static str,
    reference: Option<&'static str>,
    labels: Labels,
}

type Labels = &'static [(&'static str, &'static str)];

/// Purges of two orgs that differ in all that a list can be filtered by; the newest first.
async fn stage() -> (TestService, Vec<Made>) {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let mut made = Vec::new();
    for (org, state) in [("default", "queued"), ("eu", "queued"), ("default", "paused"), ("eu", "running")] {
        let variants: [(Option<&str>, Labels); 5] = [
            (None, &[]),
            (Some("r"), &[]),
            (Some("R"), &[("team", "a")]),
            (None, &[("team", "a:b"), ("r", "")]),
            (Some("team:a"), &[("team", "a"), ("year", "2026")]),
        ];
        for (reference, labels) in variants {
            let body = json!({
                "conversationIds": [Uuid::from_u128(7)], "org": org, "reference": reference,
                "labels": labels.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
            });
            let id = test.purge_with(body).await.to_string();
            if state != "queued" {
                test.sql(&format!("update purges set state = '{state}' where id = '{id}'")).await;
            }
            made.push(Made { id, org, state, reference, labels });
        }
    }
    made.reverse();
    (test, made)
}

fn ids(pages: &[Vec<Value>]) -> Vec<&str> {
    pages.iter().flatten().map(|purge| purge["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn filters_alone_and_together_yield_those_that_meet_them_newest_first() {
    let (test, made) = stage().await;
    let (mut found, mut asked) = (0, 0);
    for state in [None, Some("queued"), Some("paused"), Some("running"), Some("completed")] {
        for org in [None, Some("default"), Some("eu"), Some("nowhere")] {
            for reference in [None, Some("r"), Some("R"), Some("team:a"), Some("")] {
                for label in [None, Some(("team", "a")), Some(("team", "a:b")), Some(("r", ""))] {
                    let expected: Vec<&str> = made
                        .iter()
                        .filter(|made| state.is_none_or(|state| state == made.state))
                        .filter(|made| org.is_none_or(|org| org == made.org))
                        .filter(|made| reference.is_none_or(|wanted| Some(wanted) == made.reference))
                        .filter(|made| label.is_none_or(|label| made.labels.contains(&label)))
                        .map(|made| made.id.as_str())
                        .collect();
                    let mut query = form_urlencoded::Serializer::new(String::from("/purges?limit=3&"));
                    let label = label.map(|(key, value)| format!("{key}:{value}"));
                    let filters = [
                        ("state", state),
                        ("org", org),
                        ("reference", reference),
                        ("label", label.as_deref()),
                    ];
                    for (name, value) in filters {
                        query.extend_pairs(value.map(|value| (name, value)));
                    }
                    let pages = all(&test, &query.finish()).await;
                    assert_eq!(ids(&pages), expected, "{filters:?}");
                    assert!(pages.iter().all(|page| page.len() <= 3), "{filters:?}");
                    found += expected.len();
                    asked += 1;
                }
            }
        }
    }
    assert!(found > 100 && asked == 400, "{found} {asked}");
}

#[tokio::test]
async fn an_item_is_the_document_of_the_purge() {
    let (test, made) = stage().await;
    for limit in [1, 7, 1000] {
        let pages = all(&test, &format!("/purges?limit={limit}")).await;
        assert_eq!(ids(&pages), made.iter().map(|made| made.id.as_str()).collect::<Vec<_>>());
        for purge in pages.concat() {
            assert_eq!(purge, test.get(&format!("/purges/{}", purge["id"].as_str().unwrap())).await);
        }
    }
    let default = test.get("/purges").await;
    assert_eq!((default["items"].as_array().unwrap().len(), &default["nextCursor"]), (20, &Value::Null));
}

#[tokio::test]
async fn a_key_of_one_org_lists_its_own_purges_and_an_org_that_it_may_not_use_has_none() {
    let (test, made) = stage().await;
    let eu = test.make_key(&[Scope::PurgesRead], Some(&["eu"])).await;
    let none = test.make_key(&[Scope::PurgesRead], Some(&[])).await;
    let get = async |key: &str, path: &str| {
        let (status, body) = read(test.request_as(key, Method::GET, path).send().await.unwrap()).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert_eq!(keys(&body), ["items", "nextCursor"]);
        assert_eq!(body["nextCursor"], Value::Null, "{path}");
        body["items"].as_array().unwrap().clone()
    };
    let number = |org: &str| made.iter().filter(|made| made.org == org).count();
    for path in ["/purges", "/purges?org=eu"] {
        let items = get(&eu, path).await;
        assert_eq!(items.len(), number("eu"), "{path}");
        assert!(items.iter().all(|purge| purge["org"] == "eu"), "{path}");
        assert!(get(&none, path).await.is_empty());
    }
    assert_eq!(get(&eu, "/purges?label=team:a&reference=R").await.len(), 2);
    assert_eq!(get(&eu, "/purges?state=queued").await.len(), 5);
    for path in
        ["/purges?org=default", "/purges?org=nowhere", "/purges?org=%00", "/purges?org=default&state=paused"]
    {
        assert!(get(&eu, path).await.is_empty(), "{path}");
    }
    for path in ["/purges?org=nowhere", "/purges?org=%00", "/purges?reference=%00", "/purges?label=a:%00"] {
        assert!(get(&test.key, path).await.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_filter_that_can_not_be_is_refused_by_its_name() {
    let test = Setup::new().role(Role::Api).start().await;
    for (query, told) in [
        ("state=gone", "state"),
        ("state=", "state"),
        ("state=queued&state=paused", "state"),
        ("org=a&org=a", "org"),
        ("label=team", "label"),
        ("label=:a", "label"),
        ("label=", "label"),
        ("label=a:b&label=c:d", "label"),
        ("labels=a:b", "labels"),
        ("State=queued", "State"),
        ("limit=99999999999999999999", "limit"),
        ("wait=1", "wait"),
    ] {
        let request = test.request(Method::GET, &format!("/purges?{query}"));
        let problem = refused(request, 400, "invalid_query").await;
        assert_eq!(pointers(&problem), [format!("?{told}")], "{query}: {problem}");
    }
}

#[tokio::test]
async fn a_rare_state_among_many_purges_with_one_label_is_found_over_several_pages() {
    let test = Setup::new().role(Role::Api).start().await;
    let oldest =
        test.purge_with(json!({ "conversationIds": [Uuid::from_u128(7)], "labels": { "team": "a" } })).await;
    test.sql(&format!("update purges set state = 'paused' where id = '{oldest}'")).await;
    test.sql(
        "with made as (
            insert into purges (id, org, state, labels, dry_run, requested_by, request_id, created_at, turn_at,
                                duplicates, total, pending)
            select ('ffffffff-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'default', 'queued',
                   '{\"team\": \"a\"}', false, 'x', 'x', now(), now(), 0, 1, 1
            from generate_series(1, 60000) n
            returning id
        )
        insert into purge_tags select 'default', 'team:a', id from made",
    )
    .await;
    let pages = all(&test, "/purges?label=team:a&state=paused&limit=1000").await;
    assert_eq!(ids(&pages), [oldest.to_string()]);
    assert!(pages.len() > 1, "no page looks through all of them");
    assert_eq!(ids(&all(&test, "/purges?state=paused").await), [oldest.to_string()]);
}

#[tokio::test]
async fn a_label_that_60000_purges_of_another_org_have_shows_nothing_of_them_not_even_in_a_cursor() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let eu = test.make_key(Scope::ALL, Some(&["eu"])).await;
    test.sql(
        "with made as (
            insert into purges (id, org, state, reference, labels, dry_run, requested_by, request_id, created_at,
                                turn_at, duplicates, total, pending)
            select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'default', 'queued', 'r',
                   '{\"team\": \"a\"}', false, 'x', 'x', now(), now(), 0, 1, 1
            from generate_series(1, 60000) n
            returning id
        )
        insert into purge_tags select 'default', tag, id from made cross join unnest('{team:a,:r}'::text[]) tag",
    )
    .await;
    for filter in ["label=team:a", "reference=r", "label=team:a&reference=r", "label=team:a&state=queued"] {
        let (status, page) =
            read(test.request_as(&eu, Method::GET, &format!("/purges?{filter}")).send().await.unwrap()).await;
        assert_eq!((status, page), (StatusCode::OK, json!({ "items": [], "nextCursor": null })), "{filter}");
    }
}

#[tokio::test]
async fn a_hold_that_was_not_made_to_its_end_is_none() {
    let test = Setup::new().role(Role::Api).start().await;
    let id = Uuid::from_u128(7);
    test.sql(&format!(
        "insert into holds (id, matter, created_by, request_id, created_at, conversations, orgs)
         values ('{id}', 'Half', 'tester', 'r', now(), 1, '{{default}}')"
    ))
    .await;
    assert_eq!(test.get("/holds").await["items"], json!([]));
    for (method, path) in
        [(Method::GET, format!("/holds/{id}")), (Method::POST, format!("/holds/{id}/release"))]
    {
        let (status, body) = read(test.request(method, &path).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {body}");
    }
}
