//! The optional body of acts, with a reason for the record.

use axum::extract::{FromRequest, Request};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;

use super::checks::{check_text, optional_text};
use super::extract::JsonBody;
use super::problem::{FieldError, Problem};
use super::state::ApiState;

pub(super) const LONGEST_REASON: usize = 1000;

/// Why it is done; the body may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Why)]
pub(super) struct WhyBody {
    /// Why, for the record and for whoever waits.
    #[schema(schema_with = reason)]
    reason: Option<String>,
}

pub(super) fn reason() -> Object {
    optional_text(LONGEST_REASON, "Why, for the record and for whoever waits.").build()
}

/// What such a body says.
#[derive(Debug)]
pub(super) struct Why(pub(super) Option<String>);

impl FromRequest<ApiState> for Why {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let body = JsonBody::<WhyBody>::if_any(request, state).await?.unwrap_or_default();
        check(body.reason.as_deref())?;
        Ok(Self(body.reason))
    }
}

/// The limit also holds for reasons that do not come in a body.
pub(super) fn check(reason: Option<&str>) -> Result<(), Problem> {
    let mut errors: Vec<FieldError> = Vec::new();
    check_text(&mut errors, "/reason", reason, LONGEST_REASON);
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}
