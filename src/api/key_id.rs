//! The key of a request: long-running requests check again whether it is valid, and places are shared by key.

use axum::extract::{FromRequestParts, Request};
use axum::http::Extensions;
use axum::http::request::Parts;
use uuid::Uuid;

use super::problem::Problem;

/// The id of the caller's key, checked by `auth`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyId(pub(crate) Uuid);

impl KeyId {
    /// That of a request that `auth` has let through.
    pub(super) fn of(request: &Request) -> Result<Self, Problem> {
        Self::among(request.extensions())
    }

    fn among(extensions: &Extensions) -> Result<Self, Problem> {
        extensions.get::<Self>().copied().ok_or_else(Problem::no_key)
    }
}

impl<S: Sync> FromRequestParts<S> for KeyId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::among(&parts.extensions)
    }
}
