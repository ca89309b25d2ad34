//! Small forms: read whole, and taken only with the token of the session.

use axum::Form;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::gate::Visitor;
use crate::api::Problem;

/// A form that is larger is not one of ours.
const LARGEST: usize = 64 * 1024;

/// The fields of a form that was made for this session.
#[derive(Debug)]
pub(super) struct Checked<T>(pub(super) T);

/// Why something is done.
#[derive(Debug, Deserialize)]
pub(super) struct Why {
    pub(super) reason: Option<String>,
}

/// No fields but the token.
#[derive(Debug, Deserialize)]
pub(super) struct Nothing {}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Checked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let bytes = read(body).await?;
        let token = form_urlencoded::parse(&bytes).find(|(name, _)| name == "token");
        visitor.check_token(token.map(|(_, token)| token).as_deref().unwrap_or_default())?;
        fields(&bytes).await.map(Self)
    }
}

/// A body that is not too large for a form.
pub(super) async fn read(body: Body) -> Result<Bytes, Problem> {
    to_bytes(body, LARGEST).await.map_err(|_| {
        let detail = "the form is too large, or broke off on its way";
        Problem::new(StatusCode::BAD_REQUEST, "broken_form", detail)
    })
}

/// The fields of a form; empty ones are left out, as if they were not there.
pub(super) async fn fields<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut request = Request::new(Body::from(said(bytes)));
    *request.method_mut() = Method::POST;
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, form);
    Form::<T>::from_request(request, &()).await.map(|form| form.0).map_err(|error| {
        let detail = format!("the form is not right: {error}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail)
    })
}

/// What of a form says something.
pub(super) fn said(bytes: &[u8]) -> String {
    let mut told = form_urlencoded::Serializer::new(String::new());
    let sent = form_urlencoded::parse(bytes);
    told.extend_pairs(sent.filter(|(name, value)| name != "token" && !value.is_empty()));
    told.finish()
}
