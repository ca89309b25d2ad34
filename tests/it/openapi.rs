//! The document of the API: committed, served, and complete.

use std::collections::BTreeMap;

use genesys_purge::api;
use genesys_purge::app::Role;
use genesys_purge::domain::outcome::Outcome;
use genesys_purge::domain::state::{JobResult, JobState, PurgeState};
use serde_json::{Value, json};

use crate::support::Setup;

/// Every route that is built, with its methods. A route that is built without standing here, or here without being
/// told in the document, fails.
const ROUTES: &[(&str, &[&str])] = &[
    ("/conversations/{conversationId}", &["get"]),
    ("/health/live", &["get"]),
    ("/health/ready", &["get"]),
    ("/holds", &["get", "post"]),
    ("/holds/{id}", &["get"]),
    ("/holds/{id}/release", &["post"]),
    ("/metrics", &["get"]),
    ("/openapi.json", &["get"]),
    ("/openapi.yaml", &["get"]),
    ("/purges", &["post"]),
    ("/purges/{id}", &["get"]),
    ("/purges/{id}/conversations", &["get"]),
    ("/purges/{id}/jobs", &["get"]),
];

#[test]
fn the_committed_document_is_the_one_of_the_code() {
    let committed = include_str!("../../openapi.yaml");
    let made = api::document_yaml().unwrap();
    assert!(
        committed == made,
        "openapi.yaml is not what the code says: run `cargo run -- openapi > openapi.yaml` and commit it"
    );
}

#[tokio::test]
async fn the_served_document_lists_every_route_and_can_be_read_by_anybody() {
    let test = Setup::new().role(Role::Api).start().await;
    let response = test.client.get(format!("{}/openapi.json", test.url)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    let document: Value = response.error_for_status().unwrap().json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{document}");
    let listed: BTreeMap<&str, Vec<&str>> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, calls)| (path.as_str(), calls.as_object().unwrap().keys().map(String::as_str).collect()))
        .collect();
    let expected: BTreeMap<&str, Vec<&str>> =
        ROUTES.iter().map(|(path, methods)| (*path, methods.to_vec())).collect();
    assert_eq!(listed, expected);

    let yaml = test.client.get(format!("{}/openapi.yaml", test.url)).send().await.unwrap();
    assert_eq!(yaml.headers()["content-type"], "application/yaml");
    assert_eq!(yaml.text().await.unwrap(), include_str!("../../openapi.yaml"));
}

#[test]
fn the_words_of_the_document_are_those_of_the_answers() {
    fn words<T: ToString>(all: &[T]) -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    }
    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    let expected = [
        ("PurgeState", words(PurgeState::ALL)),
        ("JobState", words(JobState::ALL)),
        ("JobResult", words(JobResult::ALL)),
        ("Outcome", words(Outcome::ALL)),
    ];
    for (name, words) in expected {
        assert_eq!(document["components"]["schemas"][name]["enum"], json!(words), "{name}");
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere_and_every_call_tells_its_refusals() {
    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let target = document.pointer(reference.trim_start_matches('#'));
        assert!(target.is_some(), "{reference} leads nowhere");
    }
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            assert!(call["summary"].is_string(), "{method} {path} says what it does");
            let is_open = call["security"] == serde_json::json!([{}]);
            for status in ["401", "403"] {
                assert_eq!(call["responses"].get(status).is_some(), !is_open, "{method} {path}: {status}");
            }
        }
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                references.push(reference.to_owned());
            }
            members.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
