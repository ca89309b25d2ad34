//! What is told of one conversation: every purge, every decision, every hold.

use genesys_purge::sandbox::Kind;
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::keys;
use crate::support::TestService;
use crate::support::problem::refused;

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
        assert_eq!(keys(&history), ["conversationId", "holds", "purges"]);
        assert_eq!(history["conversationId"], json!(id));
        let purges = history["purges"].as_array().unwrap();
        let told: Vec<_> = purges.iter().map(|purge| (&purge["purgeId"], &purge["outcome"])).collect();
        let expected = [(first, "on_hold"), (second, "purged"), (third, "already_purged")];
        let expected = expected.map(|(purge, outcome)| (json!(purge), json!(outcome)));
        assert_eq!(told, expected.iter().map(|(purge, outcome)| (purge, outcome)).collect::<Vec<_>>());
        for purge in purges {
            assert_eq!(keys(purge), ["acceptedAt", "decisions", "org", "outcome", "purgeId", "requestedBy"]);
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
