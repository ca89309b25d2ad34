//! The wire: the four calls of the simulated Genesys, and the control calls under `/sandbox`.
//!
//! Invariant: what a call means is decided in the folder above; here it is read and written.

mod auth;
mod control;
mod desk;
mod details;
mod error;
mod export;
mod host;
mod purge;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};

use super::Sandbox;

/// No body of the four calls comes near it: a thousand ids are 40 kB.
const LARGEST_BODY: usize = 1 << 20;

/// Everything that a sandbox answers, by its address alone or by any name.
pub(super) fn router(sandbox: Arc<Sandbox>, by_any_name: bool) -> Router {
    let router = Router::new()
        .route("/oauth/token", post(token::issue))
        .route("/api/v2/analytics/conversations/details/query", post(details::query))
        .route("/api/v2/analytics/conversations/purge", post(purge::submit))
        .route("/api/v2/analytics/conversations/purge/{job_id}", get(purge::poll))
        .nest("/sandbox", control_router())
        .fallback(error::no_such_path)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(sandbox);
    if by_any_name { router } else { host::guard(router) }
}

fn control_router() -> Router<Arc<Sandbox>> {
    Router::new()
        .route("/settings", get(control::settings).put(control::put_settings).patch(control::patch_settings))
        .route("/faults", get(control::faults).post(control::add_fault).delete(control::clear_faults))
        .route("/faults/{id}", delete(control::remove_fault))
        .route("/tokens", delete(control::revoke_tokens))
        .route("/calls", get(control::calls).delete(control::forget_calls))
        .route("/truth", get(control::truth))
        .route("/truth/outcomes", get(export::outcomes))
        .route("/conversations", get(export::conversations))
        .route("/conversations/{id}", get(control::conversation).patch(control::patch_conversation))
}

#[cfg(test)]
mod tests;
