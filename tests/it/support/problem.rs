//! What every refusal must look like, whatever was refused.

use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

/// Sends the request, which must be refused with a whole problem document of this status and code.
pub async fn refused(request: RequestBuilder, status: u16, code: &str) -> Value {
    let response = request.send().await.unwrap();
    let told = response.status();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (media_type, request_id) = (header("content-type"), header("x-request-id"));
    let seconds = header("retry-after").map(|seconds| seconds.parse::<u64>().unwrap());
    assert_eq!(seconds.is_some(), status == 503, "what passes tells when to come again: {seconds:?}");
    let text = response.text().await.unwrap();
    assert_eq!(told, StatusCode::from_u16(status).unwrap(), "expected {code}: {text}");
    assert_eq!(media_type.as_deref(), Some("application/problem+json"), "{text}");
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["type"], format!("urn:genesys-purge:problem:{code}"), "{problem}");
    for member in ["title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
    }
    assert!(problem["detail"].as_str().unwrap().len() < 1000, "no refusal sends back what it got: {problem}");
    assert_eq!(problem["requestId"].as_str(), request_id.as_deref(), "{problem}");
    if let Some(errors) = problem.get("errors") {
        for error in errors.as_array().unwrap() {
            assert!(error["pointer"].is_string() && error["detail"].is_string(), "{problem}");
        }
    }
    problem
}

/// Where the errors of a problem are.
pub fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}
