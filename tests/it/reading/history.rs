//! The history of one conversation: every purge, every decision, every hold.

use std::collections::BTreeSet;

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::keys;
use crate::support::problem::refused;
use crate::support::service::read;
use crate::support::{Setup, TestService};

#[tokio::test]
async fn the_history_of_a_conversation_tells_each_decision_of_each_purge_and_its_holds() {
    let test = TestService::start().await;
    let ids = test.ids_of(Kind::Eligible);
    let id = ids[0];
    let new_hold = json!({ "matter": "Smith v. Jones", "conversationIds": [id] });
    let (status, hold) = test.post("/holds", &new_hold).await;
    assert_eq!(status, StatusCode::CREATED, "{hold}");
    let first = test.purge(&ids[..2]).await;
    test.finished(first).await;
    let release = format!("/holds/{}/release", hold["id"].as_str().unwrap());
    assert_eq!(test.request(Method::POST, &release).send().await.unwrap().status(), StatusCode::OK);
    let second = test.purge(&[id]).await;
    test.finished(second).await;
    let third = test.purge(&[id]).await;
    test.finished(third).await;

    for written in [id.to_string(), id.to_string().to_uppercase()] {
        let history = test.get(&format!("/conversations/{written}")).await;
        assert_eq!(keys(&history), ["conversationId", "holds", "nextCursor", "purges"]);
        assert_eq!(history["nextCursor"], Value::Null, "it is told whole");
        assert_eq!(history["conversationId"], json!(id));
        let purges = history["purges"].as_array().unwrap();
        let told: Vec<_> = purges.iter().map(|purge| (&purge["purgeId"], &purge["outcome"])).collect();
        let expected = [(first, "on_hold"), (second, "purged"), (third, "already_purged")];
        let expected = expected.map(|(purge, outcome)| (json!(purge), json!(outcome)));
        assert_eq!(told, expected.iter().map(|(purge, outcome)| (purge, outcome)).collect::<Vec<_>>());
        for purge in purges {
            let fields = [
                "acceptedAt",
                "decisions",
                "holdCount",
                "holdId",
                "matter",
                "org",
                "outcome",
                "purgeId",
                "reason",
                "reference",
                "requestedBy",
            ];
            assert_eq!(keys(purge), fields);
            let decisions = purge["decisions"].as_array().unwrap();
            let mut at = json!("pending");
            for decision in decisions {
                assert_eq!(
                    keys(decision),
                    ["at", "code", "detail", "from", "jobId", "ourJobId", "step", "to"]
                );
                assert_eq!(decision["from"], at, "each decision begins where the one before ended: {purge}");
                at = decision["to"].clone();
            }
            assert_eq!(at, purge["outcome"]);
        }
        let steps: Vec<&str> = purges[1]["decisions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["to"].as_str().unwrap())
            .collect();
        assert_eq!(steps, ["eligible", "submitted", "purged"]);
        assert!(purges[1]["decisions"][2]["jobId"].is_string());
        let holds = history["holds"].as_array().unwrap();
        assert_eq!(holds.len(), 1);
        assert_eq!((&holds[0]["matter"], &holds[0]["active"]), (&json!("Smith v. Jones"), &json!(false)));
    }
    test.assert_no_breach();
}

#[tokio::test]
async fn a_conversation_that_only_a_hold_names_is_known() {
    let test = TestService::start().await;
    let id = Uuid::from_u128(77);
    refused(test.request(Method::GET, &format!("/conversations/{id}")), 404, "not_found").await;
    test.post("/holds", &json!({ "matter": "M", "conversationIds": [id] })).await;
    let history = test.get(&format!("/conversations/{id}")).await;
    assert_eq!(history["purges"], json!([]));
    assert_eq!(history["holds"][0]["active"], true);
}

/// An id that very many purges and holds of both orgs name.
async fn often_named(id: Uuid) -> TestService {
    let test = Setup::new().second_org().role(Role::Api).start().await;
    test.sql(&format!(
        "insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, turn_at, duplicates, total,
                             pending)
         select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                case when n % 3 = 0 then 'eu' else 'default' end, 'queued', false, 'x', 'x', now(), now(), 0, 1, 1
         from generate_series(1, 4500) n;
         insert into slices (purge_id, slice_no, org, ids, outcomes, pending, run_at)
         select id, 0, org, array['{id}'::uuid], '\\x00', 1, now() from purges;
         insert into conversations (conversation_id, purge_id, ordinal) select '{id}', id, 0 from purges;
         insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, code, decided_at)
         select id, 0, 1, '{{0}}', 0, 1, 'validate', 'eligible', now() from purges;
         insert into holds (id, matter, active, created_by, request_id, created_at, conversations, orgs)
         select ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 'M', n % 5 > 0, 'x', 'x', now(), 1,
                case n % 3 when 0 then '{{eu}}' when 1 then '{{default}}' else '{{default,eu}}' end::text[]
         from generate_series(1, 3000) n;
         insert into hold_conversations (conversation_id, org, hold_id)
         select '{id}', org, id from holds cross join unnest(orgs) as org"
    ))
    .await;
    test
}

#[tokio::test]
async fn a_history_however_long_is_told_page_by_page_each_purge_and_each_hold_once() {
    let id = Uuid::from_u128(7);
    let test = often_named(id).await;
    let eu = test.make_key(Scope::ALL, Some(&["eu"])).await;
    let of_a_fifth = |holds: usize| holds - holds / 5;
    // 4500 purges of which a third are of eu; 3000 holds of which two thirds are; a fifth was never in force.
    for (key, purges, holds) in [(&test.key, 4500, of_a_fifth(3000)), (&eu, 1500, of_a_fifth(2000))] {
        let (mut purge_ids, mut hold_ids, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let path = format!("/conversations/{id}?limit=700{cursor}");
            let response = test.request_as(key, Method::GET, &path).send().await.unwrap();
            let (status, page) = read(response).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            let ids = |list: &str, name: &str| {
                let rows = page[list].as_array().unwrap();
                assert!(rows.len() <= 700, "{list}: {}", rows.len());
                rows.iter().map(|row| row[name].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            purge_ids.extend(ids("purges", "purgeId"));
            hold_ids.extend(ids("holds", "id"));
            for purge in page["purges"].as_array().unwrap() {
                assert_eq!(
                    (&purge["outcome"], &purge["decisions"][0]["to"]),
                    (&json!("eligible"), &json!("eligible"))
                );
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        for (told, number) in [(&purge_ids, purges), (&hold_ids, holds)] {
            assert_eq!(told.len(), number);
            assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), number, "each is told once");
            assert!(told.is_sorted(), "oldest first");
        }
    }
    let page = test.get(&format!("/conversations/{id}")).await;
    let told = |list: &str| page[list].as_array().unwrap().len();
    assert_eq!((told("purges"), told("holds")), (100, 100), "without a limit it is no longer than any list");
}
