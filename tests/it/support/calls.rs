//! Every call of the API, from its document: a new one is covered from its first day.

use genesys_purge::api;
use reqwest::Method;
use serde_json::{Value, json};

/// An id that nothing has.
pub const NOBODY: &str = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";

/// Method and path of every call of the document, its parameters filled in, and whether it is open to everybody.
pub fn calls() -> Vec<(Method, String, bool)> {
    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    let mut calls = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            let path =
                path.replace("{id}", NOBODY).replace("{conversationId}", NOBODY).replace("{org}", "default");
            assert!(!path.contains('{'), "a parameter that this test can't fill in: {path}");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            calls.push((method, path, call["security"] == json!([{}])));
        }
    }
    assert!(calls.len() > 8);
    calls
}
