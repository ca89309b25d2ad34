//! Which hold protects a conversation, and the conversations of a hold.

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::{Kind, Shares};
use reqwest::header::ACCEPT;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::postgres::new_id;
use crate::support::problem::refused;
use crate::support::service::read;
use crate::support::{Setup, TestService};

async fn hold(test: &TestService, matter: &str, ids: &[Uuid], org: Option<&str>) -> String {
    let body = json!({ "matter": matter, "conversationIds": ids, "org": org });
    let (status, hold) = test.post("/holds", &body).await;
    assert_eq!(status, StatusCode::CREATED, "{hold}");
    hold["id"].as_str().unwrap().to_owned()
}

async fn release(test: &TestService, hold: &str) {
    let (status, body) = test.post(&format!("/holds/{hold}/release"), &Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test]
async fn a_held_conversation_names_the_hold_that_protected_it_also_when_that_was_released() {
    let shares = Shares { eligible: 0.5, held: 0.5, ..Shares::none() };
    let test = Setup::new().sandbox(|org| org.shares = shares).second_org().start().await;
    let (ids, theirs) = (test.ids_of(Kind::Eligible), test.ids_of(Kind::Held));
    let before = hold(&test, "long over", &ids[..2], Some("default")).await;
    release(&test, &before).await;
    let elsewhere = hold(&test, "of another org", &ids[..3], Some("eu")).await;
    let first = hold(&test, "=M-1", &ids[..2], Some("default")).await;
    let second = hold(&test, "M-2", &ids[1..2], None).await;
    let named = [&ids[..3], &theirs[..1]].concat();
    let purge = test
        .purge_with(json!({
            "conversationIds": named, "org": "default", "reason": "too old", "reference": "R-7",
        }))
        .await;
    test.finished(purge).await;
    let after = hold(&test, "too late", &ids[..1], Some("default")).await;
    release(&test, &first).await;

    let rows = test.conversations(purge).await;
    let told = |row: &Value| (row["holdId"].clone(), row["matter"].clone(), row["holdCount"].clone());
    assert_eq!(told(&rows[0]), (json!(first), json!("=M-1"), json!(1)));
    assert_eq!(told(&rows[1]), (json!(first), json!("=M-1"), json!(2)), "the first of two");
    let none = (Value::Null, Value::Null, Value::Null);
    assert_eq!((&rows[2]["outcome"], told(&rows[2])), (&json!("purged"), none.clone()));
    assert_eq!((&rows[3]["code"], told(&rows[3])), (&json!("upstream_legal_hold"), none), "no hold of ours");
    let csv = test.request(Method::GET, &format!("/purges/{purge}/report")).header(ACCEPT, "text/csv");
    let csv = csv.send().await.unwrap().text().await.unwrap();
    assert!(csv.contains(&format!(",{first},'=M-1,2\r\n")), "no formula: {csv}");

    // A key of the org alone may see the holds of that org, and learns of no other.
    let key = test.make_key(&[Scope::PurgesRead], Some(&["default"])).await;
    for key in [&key, &test.key] {
        let path = format!("/conversations/{}", ids[1]);
        let (_, story) = read(test.request_as(key, Method::GET, &path).send().await.unwrap()).await;
        let part = &story["purges"][0];
        assert_eq!(told(part), (json!(first), json!("=M-1"), json!(2)), "{story}");
        assert_eq!((&part["reason"], &part["reference"]), (&json!("too old"), &json!("R-7")));
        assert_eq!(part["requestedBy"], "tester");
        let holds: Vec<&Value> = story["holds"].as_array().unwrap().iter().map(|hold| &hold["id"]).collect();
        let sees_all = key == &test.key;
        let expected: Vec<&String> =
            [Some(&before), Some(&elsewhere).filter(|_| sees_all), Some(&first), Some(&second)]
                .into_iter()
                .flatten()
                .collect();
        assert_eq!(holds, expected, "{story}");
    }
    let rows = test.conversations(purge).await;
    assert_ne!(rows[0]["holdId"], json!(after), "it came after the decision");
}

#[tokio::test]
async fn holds_are_found_by_conversation_and_by_what_is_in_force() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let ids: Vec<Uuid> = (0..3).map(|_| new_id()()).collect();
    let mut made = Vec::new();
    for (matter, named, org, is_released) in [
        ("a", &ids[..2], Some("default"), false),
        ("b", &ids[..1], Some("eu"), false),
        ("c", &ids[1..], None, true),
        ("d", &ids[..3], None, false),
        ("e", &ids[..1], Some("default"), true),
    ] {
        let id = hold(&test, matter, named, org).await;
        if is_released {
            release(&test, &id).await;
        }
        made.push((matter, named.to_vec(), org, !is_released));
    }
    made.reverse();
    let limited = test.make_key(&[Scope::PurgesRead], Some(&["default"])).await;
    let mut seen = 0;
    for key in [&test.key, &limited] {
        for conversation in [None, Some(ids[0]), Some(ids[1]), Some(ids[2]), Some(Uuid::from_u128(9))] {
            for active in [None, Some(true), Some(false)] {
                let expected: Vec<&str> = made
                    .iter()
                    .filter(|(_, named, org, is_active)| {
                        conversation.is_none_or(|id| named.contains(&id))
                            && active.is_none_or(|active| active == *is_active)
                            && (key == &test.key || *org != Some("eu"))
                    })
                    .map(|(matter, ..)| *matter)
                    .collect();
                let mut query = String::from("?limit=1");
                query += &conversation.map_or_else(String::new, |id| format!("&conversationId={id}"));
                query += &active.map_or_else(String::new, |active| format!("&active={active}"));
                let (mut found, mut cursor) = (Vec::new(), String::new());
                loop {
                    let path = format!("/holds{query}{cursor}");
                    let (status, page) =
                        read(test.request_as(key, Method::GET, &path).send().await.unwrap()).await;
                    assert_eq!(status, StatusCode::OK, "{path} {page}");
                    let items = page["items"].as_array().unwrap();
                    found.extend(items.iter().map(|hold| hold["matter"].as_str().unwrap().to_owned()));
                    if key == &limited {
                        assert!(items.iter().all(|hold| hold["orgs"] == json!(["default"])), "{page}");
                    }
                    match page["nextCursor"].as_str() {
                        Some(next) => cursor = format!("&cursor={next}"),
                        None => break,
                    }
                }
                assert_eq!(found, expected, "{query}");
                seen += found.len();
            }
        }
    }
    assert!(seen > 40, "{seen}");
    for query in ["active=yes", "active=1", "conversationId=x", "conversationId="] {
        refused(test.request(Method::GET, &format!("/holds?{query}")), 400, "invalid_query").await;
    }
    let cursor = test.get("/holds?limit=1&active=true").await["nextCursor"].as_str().unwrap().to_owned();
    refused(test.request(Method::GET, &format!("/holds?limit=1&cursor={cursor}")), 400, "invalid_query")
        .await;
}

#[tokio::test]
async fn a_hold_lists_what_it_names_and_what_it_came_too_late_for_to_whom_it_may_concern() {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    let mut ids: Vec<Uuid> = (0..5).map(|_| new_id()()).collect();
    ids.sort_unstable();
    test.sql(&format!(
        "insert into findings (org, conversation_id, gone_at) values ('eu', '{}', now()), ('default', '{}', now())",
        ids[1], ids[3]
    ))
    .await;
    let both = hold(&test, "both", &ids, None).await;
    let eu = hold(&test, "eu", &ids[..1], Some("eu")).await;
    let limited = test.make_key(&[Scope::PurgesRead], Some(&["default"])).await;
    for (key, late) in [(&test.key, vec![ids[1], ids[3]]), (&limited, vec![ids[3]])] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/holds/{both}/conversations?limit=2{cursor}");
            let (_, page) = read(test.request_as(key, Method::GET, &path).send().await.unwrap()).await;
            found.extend(page["items"].as_array().unwrap().clone());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let expected: Vec<Value> =
            ids.iter().map(|id| json!({ "conversationId": id, "tooLate": late.contains(id) })).collect();
        assert_eq!(found, expected);
        let request = test.request_as(key, Method::GET, &format!("/holds/{both}"));
        assert_eq!(read(request.send().await.unwrap()).await.1["tooLate"], json!(late), "both say the same");
    }
    let request = test.request_as(&limited, Method::GET, &format!("/holds/{eu}/conversations"));
    refused(request, 404, "not_found").await;
    refused(test.request(Method::GET, &format!("/holds/{}/conversations", new_id()())), 404, "not_found")
        .await;
}
