//! Error bodies, in the one shape that Genesys gives them.
//!
//! Invariant: every refusal of the sandbox, control calls included, leaves through [`Refusal`].

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

/// Why a call is refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    code: String,
    message: String,
    details: Vec<Detail>,
    permissions: Option<&'static str>,
    limit: Option<u32>,
    /// Seconds, for `Retry-After`.
    pub(super) retry_after: Option<u32>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    error_code: String,
    field_name: &'static str,
    entity_id: String,
    entity_name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    message: &'a str,
    code: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_id: Option<Uuid>,
    details: &'a [Detail],
    errors: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_with_params: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_params: Option<Params>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
}

#[derive(Serialize)]
struct Params {
    permissions: &'static str,
}

#[derive(Serialize)]
struct Limit {
    value: u32,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            details: Vec::new(),
            permissions: None,
            limit: None,
            retry_after: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad.request", message)
    }

    /// Names the conversations that the refusal is about.
    pub(super) fn about(mut self, ids: &[Uuid]) -> Self {
        self.details = ids
            .iter()
            .map(|id| Detail {
                error_code: self.code.clone(),
                field_name: "conversationIds",
                entity_id: id.to_string(),
                entity_name: "conversation",
            })
            .collect();
        self
    }

    pub(super) fn missing(mut self, permissions: &'static str) -> Self {
        self.permissions = Some(permissions);
        self
    }

    pub(super) fn wait(mut self, seconds: u32, limit: u32) -> Self {
        (self.retry_after, self.limit) = (Some(seconds), Some(limit));
        self
    }

    /// The body, for the call with that correlation id (control calls have none).
    pub(super) fn body(&self, context_id: Option<Uuid>) -> Vec<u8> {
        let only = if let [only] = self.details.as_slice() { Some(only) } else { None };
        let body = Body {
            message: &self.message,
            code: &self.code,
            status: self.status.as_u16(),
            context_id,
            details: &self.details,
            errors: [],
            entity_id: only.map(|detail| detail.entity_id.as_str()),
            entity_name: only.map(|detail| detail.entity_name),
            message_with_params: self.permissions.map(|_| "A permission is missing: [{permissions}]"),
            message_params: self.permissions.map(|permissions| Params { permissions }),
            limit: self.limit.map(|value| Limit { value }),
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl IntoResponse for Refusal {
    /// How control calls refuse; the four calls answer through the desk.
    fn into_response(self) -> Response {
        let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
        (self.status, json, self.body(None)).into_response()
    }
}

/// What upstream does not have.
pub(super) async fn no_such_path() -> Response {
    Refusal::new(StatusCode::NOT_FOUND, "not.found", "There is nothing at this path.").into_response()
}

/// An answer of a control call.
pub(super) type Answered<T> = Result<Json<T>, Refusal>;
