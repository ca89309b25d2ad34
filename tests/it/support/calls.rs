//! Every call of the API, from its document: a new one is covered from its first day.

use genesys_purge::api;
use reqwest::Method;
use serde_json::{Value, json};

/// An id that nothing has.
pub const NOBODY: &str = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";

/// A call of the document.
pub struct DocumentedCall {
    pub method: Method,
    /// As the document has it.
    pub template: String,
    /// With its parameters filled in.
    pub path: String,
    /// To everybody, without a key.
    pub is_open: bool,
    /// Else only to keys with this scope.
    pub scope: Option<String>,
    pub takes_body: bool,
}

/// Every call of the document.
pub fn calls() -> Vec<DocumentedCall> {
    let document: Value = serde_json::from_str(&api::document_json().unwrap()).unwrap();
    let mut calls = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            let template = path.clone();
            let path =
                path.replace("{id}", NOBODY).replace("{conversationId}", NOBODY).replace("{org}", "default");
            assert!(!path.contains('{'), "a parameter that this test can't fill in: {path}");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let (is_open, takes_body) = (call["security"] == json!([{}]), call["requestBody"].is_object());
            let scope = call.pointer("/security/0/key/0").map(|scope| scope.as_str().unwrap().to_owned());
            calls.push(DocumentedCall { method, template, path, is_open, scope, takes_body });
        }
    }
    assert!(calls.len() > 8);
    calls
}
