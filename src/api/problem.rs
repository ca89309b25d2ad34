//! Errors as callers see them: RFC 9457 problem documents with a stable code.

use std::any::Any;
use std::error::Error;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::broken::Broken;
use crate::intake::IntakeError;
use crate::store::StoreError;

/// The code of a refusal for the sake of `Content-Encoding`.
pub(super) const UNSUPPORTED_ENCODING: &str = "unsupported_encoding";

/// Maximum length of a text in a problem, in characters.
const LONGEST_TEXT: usize = 400;

/// Seconds after which to retry if the service is unavailable.
const RETRY_AFTER: u16 = 5;

// Nearly every function of this folder may return one, so its texts are as small as they can be.
/// A refusal: what is wrong and what to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// Names the kind of problem; the code with a prefix.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The kind of problem, in words.
    pub(super) title: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What is wrong this time, and what to change.
    #[schema(value_type = String)]
    pub(crate) detail: Box<str>,
    /// A stable word for programs.
    #[schema(example = "invalid_request")]
    pub(crate) code: &'static str,
    /// The id of the request, which is also in the logs.
    #[schema(value_type = String)]
    pub(crate) request_id: Box<str>,
    /// Seconds after which to retry; sent as `Retry-After`.
    #[serde(skip)]
    pub(crate) retry_after: Option<u16>,
    /// The fields or lines that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldError>,
}

/// One field or line that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Where: a JSON pointer, `?name` for a query parameter, `line 7` for an upload.
    pub(crate) pointer: String,
    /// What is wrong there.
    pub(crate) detail: String,
}

impl FieldError {
    /// An error at that place.
    pub(crate) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: shortened(pointer.into()), detail: shortened(detail.into()) }
    }
}

/// A refusal may quote the refused text, but never all of it.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Problem {
    /// A problem with this status and code.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:genesys-purge:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: shortened(detail.into()).into_boxed_str(),
            code,
            request_id: Box::default(),
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER),
            errors: Vec::new(),
        }
    }

    /// The same, with a number of seconds after which to retry.
    pub(super) fn after(self, seconds: u16) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Fields that are wrong; the first of them is the detail.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map_or_else(String::new, |error| match error.pointer.as_str() {
            "" => error.detail.clone(),
            pointer => format!("{pointer}: {}", error.detail),
        });
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail) }
    }

    /// One field that is wrong.
    pub(crate) fn invalid_field(pointer: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    /// A query parameter that is wrong.
    pub(super) fn invalid_query(name: &str, detail: impl Into<String>) -> Self {
        let error = FieldError::new(format!("?{name}"), detail);
        let detail = format!("`{name}` {}", error.detail);
        Self { errors: vec![error], ..Self::new(StatusCode::BAD_REQUEST, "invalid_query", detail) }
    }

    /// It brings no key in force.
    pub(crate) fn no_key() -> Self {
        let detail =
            "send a valid API key as `Authorization: Bearer <key>`; `genesys-purge keys create` makes one";
        Self::new(StatusCode::UNAUTHORIZED, "no_key", detail)
    }

    /// It brings one that was in force until then.
    pub(crate) fn expired_key(at: Timestamp) -> Self {
        let detail = format!("this API key expired at {at:.0}; `genesys-purge keys create` makes another");
        Self::new(StatusCode::UNAUTHORIZED, "no_key", detail)
    }

    /// An internal error; the logs have the cause.
    pub(crate) fn internal() -> Self {
        let detail = "an error in the service; find it in the logs by the request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// It does not exist, or the key does not reach it.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("no such {what}"))
    }

    /// A body could not be read to its end.
    pub(super) fn broken_body(error: &(dyn Error + 'static)) -> Self {
        let broken = Broken::among(error);
        let detail = broken.map_or_else(
            || "the body broke off before its end; nothing was accepted".to_owned(),
            ToString::to_string,
        );
        match broken {
            Some(
                Broken::Stalled(_) | Broken::TooLong(_) | Broken::UploadTooLong(_) | Broken::TooSlow { .. },
            ) => Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail),
            Some(Broken::UnfoldsTooFar(_)) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
            }
            Some(Broken::Folded(_)) | None => Self::new(StatusCode::BAD_REQUEST, "broken_body", detail),
        }
    }

    /// The database can't be reached.
    pub(super) fn unavailable() -> Self {
        let detail = "the database can't be reached; try again in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// A wish of the contract that this version can't fulfil.
    pub(super) fn not_supported_yet(what: &str) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "not_supported_yet",
            format!("{what} is not available yet"),
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code == UNSUPPORTED_ENCODING {
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        // The outermost layer knows the request's id and writes the document again with it.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Spool(error) => error.into(),
            StoreError::Revoked => Self::no_key(),
            StoreError::NoTurn => {
                let detail = "other purges are being accepted; try again in a moment";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            }
            error if error.is_outage() => {
                tracing::error!(%error, "the database can't be reached");
                Self::unavailable()
            }
            error => {
                tracing::error!(%error, "a request failed");
                Self::internal()
            }
        }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        let detail = error.to_string();
        match error {
            IntakeError::BadLines { lines, .. } => {
                let errors = lines
                    .into_iter()
                    .map(|bad| FieldError::new(format!("line {}", bad.line), bad.detail))
                    .collect();
                Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_lines", detail) }
            }
            IntakeError::TooManyIds { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_ids", detail)
            }
            IntakeError::SpoolFull { .. } => {
                tracing::error!(%detail, "the spool folder is full");
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "spool_full", detail)
            }
            IntakeError::Spool { .. } | IntakeError::Interrupted => {
                tracing::error!(%detail, "an upload could not be spooled");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            }
            IntakeError::Broken { source } => Self::broken_body(&*source),
            IntakeError::Utf16
            | IntakeError::NoIdColumn { .. }
            | IntakeError::TwoIdColumns { .. }
            | IntakeError::UnclosedQuote { .. }
            | IntakeError::Empty => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_file", detail),
        }
    }
}

/// No route has this path.
pub(super) async fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_path", "no such endpoint; see /docs")
}

/// The path exists, but not with this method.
pub(super) async fn no_such_method() -> Problem {
    let detail = "this path does not support this method; the Allow header lists those that it does";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// The bytes of an answer whose length is known: it is made already, and nothing is waited for.
pub(super) async fn bytes_of(body: Body) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, usize::MAX).await.map_err(|error| {
        tracing::error!(%error, "an answer could not be made");
        Problem::internal()
    })
}

/// A handler panicked: the request fails, the service goes on.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over by value")]
pub(super) fn after_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let what =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = what, "a handler panicked");
    Problem::internal().into_response()
}
