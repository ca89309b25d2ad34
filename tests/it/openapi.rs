//! The document of the API: committed, served, and complete.

use std::collections::BTreeMap;

use genesys_purge::api;
use genesys_purge::app::Role;
use genesys_purge::domain::events::EventType;
use genesys_purge::domain::outcome::Outcome;
use genesys_purge::domain::state::{DeliveryState, JobResult, JobState, PurgeState};
use serde_json::{Value, json};

use crate::support::Setup;

/// Every route that is built, with its methods. A route that is built without standing here, or here without being
/// told in the document, fails.
const ROUTES: &[(&str, &[&str])] = &[
    ("/conversations/{conversationId}", &["get"]),
    ("/health/live", &["get"]),
    ("/health/ready", &["get"]),
    ("/events", &["get"]),
    ("/holds", &["get", "post"]),
    ("/holds/{id}", &["get"]),
    ("/holds/{id}/conversations", &["get"]),
    ("/holds/{id}/release", &["post"]),
    ("/jobs/{id}", &["get"]),
    ("/metrics", &["get"]),
    ("/openapi.json", &["get"]),
    ("/openapi.yaml", &["get"]),
    ("/orgs", &["get"]),
    ("/orgs/{org}", &["get"]),
    ("/orgs/{org}/resume", &["post"]),
    ("/orgs/{org}/stop", &["post"]),
    ("/purges", &["get", "post"]),
    ("/purges/{id}", &["get"]),
    ("/purges/{id}/cancel", &["post"]),
    ("/purges/{id}/conversations", &["get"]),
    ("/purges/{id}/events", &["get"]),
    ("/purges/{id}/jobs", &["get"]),
    ("/purges/{id}/pause", &["post"]),
    ("/purges/{id}/resume", &["post"]),
    ("/purges/{id}/retry", &["post"]),
    ("/purges/{id}/report", &["get"]),
    ("/webhook-deliveries", &["get"]),
    ("/webhook-deliveries/redeliver", &["post"]),
    ("/webhook-deliveries/{id}", &["get"]),
    ("/webhook-deliveries/{id}/redeliver", &["post"]),
    ("/webhook-endpoints", &["get", "post"]),
    ("/webhook-endpoints/{id}", &["delete", "get", "patch"]),
    ("/webhook-endpoints/{id}/rotate-secret", &["post"]),
    ("/webhook-endpoints/{id}/test", &["post"]),
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
        ("DeliveryState", words(DeliveryState::ALL)),
        ("EventType", words(EventType::ALL)),
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
            // A call that takes none refuses one.
            let may_have_body = method != "get";
            for (status, is_told) in
                [("406", true), ("408", may_have_body), ("415", may_have_body), ("500", true), ("503", true)]
            {
                assert_eq!(call["responses"].get(status).is_some(), is_told, "{method} {path}: {status}");
            }
            for (status, answer) in call["responses"].as_object().unwrap() {
                assert!(answer["headers"].get("X-Request-Id").is_some(), "{method} {path}: {status}");
                let is_refusal = status.starts_with('4') || status.starts_with('5');
                let code = answer["description"].as_str().unwrap().starts_with('`');
                assert!(code || !is_refusal, "{method} {path}: {status} tells its codes: {answer}");
                let shape = &answer["content"]["application/problem+json"]["schema"]["$ref"];
                assert!(shape == "#/components/schemas/Problem" || !is_refusal, "{method} {path}: {status}");
            }
        }
    }
}

/// What an example shows is what its schema tells, name by name, so that neither outlives a change of the other.
#[test]
fn every_document_of_a_call_has_an_example_that_fits_its_schema() {
    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    let mut seen = 0;
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            let good =
                call["responses"].as_object().unwrap().iter().filter(|(status, _)| status.starts_with('2'));
            let answers = good.filter_map(|(_, answer)| answer.get("content"));
            for content in answers.chain(call.pointer("/requestBody/content")) {
                // The document can't hold itself as an example.
                if path.starts_with("/openapi") {
                    continue;
                }
                for (media_type, body) in content.as_object().unwrap() {
                    assert!(body.get("example").is_some(), "{media_type} of {method} {path} has no example");
                }
                let Some(json) = content.get("application/json") else { continue };
                let example = &json["example"];
                let is_whole = content != call.pointer("/requestBody/content").unwrap_or(&Value::Null);
                fits(&document, &json["schema"], example, is_whole, &format!("{method} {path}"));
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

/// `is_whole`: the example must have every property.
pub fn fits(document: &Value, schema: &Value, example: &Value, is_whole: bool, place: &str) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return fits(document, document.pointer(&reference[1..]).unwrap(), example, is_whole, place);
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        let is_null = |choice: &&Value| (choice["type"] == "null") == example.is_null();
        return fits(document, choices.iter().find(is_null).unwrap(), example, is_whole, place);
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        assert!(words.contains(example), "{place}: {example} is none of {words:?}");
    }
    if let (Some(items), Some(examples)) = (schema.get("items"), example.as_array()) {
        for example in examples {
            fits(document, items, example, is_whole, place);
        }
    }
    let properties = properties(document, schema);
    let Some(members) = example.as_object().filter(|_| !properties.is_empty()) else { return };
    for (name, value) in members {
        let schema = properties.get(name).unwrap_or_else(|| panic!("{place}: no property {name}"));
        fits(document, schema, value, is_whole, &format!("{place}/{name}"));
    }
    let missing: Vec<_> = properties.keys().filter(|name| !members.contains_key(*name)).collect();
    assert!(missing.is_empty() || !is_whole, "{place}: the example lacks {missing:?}");
}

/// Those of the schema and of everything that it is made of.
fn properties(document: &Value, schema: &Value) -> BTreeMap<String, Value> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return properties(document, document.pointer(&reference[1..]).unwrap());
    }
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    let mut all: BTreeMap<String, Value> = parts.flat_map(|part| properties(document, part)).collect();
    let own = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    all.extend(own.map(|(name, schema)| (name.clone(), schema.clone())));
    all
}

/// Generators of clients drop a call whose enum has anything but texts, and give what has no name one of their own.
#[test]
fn enums_are_texts_calls_are_named_once_and_groups_are_described() {
    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        if let Some(words) = value.get("enum").and_then(Value::as_array) {
            assert!(words.iter().all(Value::is_string), "{value}");
        }
        open.extend(value.as_object().into_iter().flat_map(|members| members.values()));
        open.extend(value.as_array().into_iter().flatten());
    }
    let described: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut names = Vec::new();
    for place in ["paths", "webhooks"] {
        for (path, calls) in document[place].as_object().unwrap() {
            for call in calls.as_object().unwrap().values() {
                names.push(call["operationId"].as_str().unwrap());
                assert!(described.contains(&&call["tags"][0]), "{path}: {}", call["tags"]);
            }
        }
    }
    let calls = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() == calls && names.iter().all(|name| !name.contains('_')), "{names:?}");
}

/// A page names the schema of its rows.
#[test]
fn rows_of_pages_have_types_of_their_own() {
    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    let pages = document["components"]["schemas"].as_object().unwrap().iter();
    let pages: Vec<_> = pages.filter_map(|(name, page)| Some((name.strip_prefix("Page_")?, page))).collect();
    assert!(pages.len() > 5, "{pages:?}");
    for (item, page) in pages {
        let named = format!("#/components/schemas/{item}");
        assert_eq!(page["properties"]["items"]["items"]["$ref"], named);
    }
}

#[test]
fn outcomes_and_codes_are_explained_as_in_the_architecture() {
    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    let told = document["components"]["schemas"]["Outcome"]["description"].as_str().unwrap();
    let section = include_str!("../../docs/architecture.md")
        .split("## ")
        .find(|part| part.starts_with("Outcomes and codes"));
    let rows: Vec<&str> = section.unwrap().lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 30, "{rows:?}");
    let told_rows: Vec<&str> = told.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(told_rows.len(), rows.len());
    for (row, told) in rows.iter().zip(told_rows) {
        // The document leaves out which outcomes are final.
        assert!(row.starts_with(told), "{row}\n{told}");
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
