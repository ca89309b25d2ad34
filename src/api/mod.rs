//! The HTTP API: a folder a resource, a file an operation. A handler extracts, checks, calls the store once, answers.
//!
//! Invariant: api never asks Genesys and holds no SQL; what it can't do yet it refuses, it never ignores a wish.

mod auth;
mod checks;
mod conversations;
mod docs_page;
mod extract;
mod health;
mod holds;
mod measure;
mod metrics;
mod openapi;
mod page;
mod patience;
mod problem;
mod purges;
mod request_id;
mod unbuilt;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::domain::keys::Scope;
use crate::store::Store;

pub use metrics::MetricsDesk;
pub use openapi::{document_json, document_yaml};

/// What the handlers are handed.
#[derive(Clone)]
pub struct ApiState {
    /// The database.
    pub store: Store,
    /// The configured orgs, sorted.
    pub orgs: Arc<[String]>,
    /// What one request may bring.
    pub intake: IntakeTerms,
    /// No request may take longer, except waits and uploads.
    pub request_timeout: Duration,
    /// Makes the ids of requests that bring none.
    pub new_id: Arc<dyn Fn() -> Uuid + Send + Sync>,
    /// What the metrics are shown from.
    pub metrics: Arc<MetricsDesk>,
    /// Which calls there are.
    pub calls: Calls,
}

/// Which calls a process answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// All.
    All,
    /// What operators ask of every process: health and metrics.
    Operations,
}

/// What one request may bring.
#[derive(Debug, Clone)]
pub struct IntakeTerms {
    /// Where uploads are spooled.
    pub spool_dir: PathBuf,
    /// The most ids.
    pub max_ids: u64,
    /// The largest JSON body, in bytes.
    pub max_json: usize,
}

/// Serves the API until it is told to stop; requests that are under way then may end.
pub async fn serve(listener: TcpListener, state: ApiState, stop: CancellationToken) {
    let served = axum::serve(listener, router(state)).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the HTTP server ended");
    }
}

/// The calls that there are, and what all of them have around them.
fn router(state: ApiState) -> Router {
    let (health, _) = health().split_for_parts();
    let (measuring, _) = measuring().split_for_parts();
    let operations = health.merge(metrics::guard(measuring, &state));
    let calls = match state.calls {
        Calls::All => calls(operations, &state),
        Calls::Operations => operations.layer(from_fn_with_state(state.clone(), patience::limit)),
    };
    calls
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(SetResponseHeaderLayer::if_not_present(
            axum::http::header::CACHE_CONTROL,
            axum::http::HeaderValue::from_static("no-store"),
        ))
        .layer(from_fn_with_state(state.clone(), request_id::carry))
        .layer(from_fn_with_state(state.clone(), measure::requests))
        .with_state(state)
}

/// The whole API.
fn calls(operations: Router<ApiState>, state: &ApiState) -> Router<ApiState> {
    let (open, _) = open().split_for_parts();
    let (reading, _) = reading().split_for_parts();
    let (holding, _) = holding().split_for_parts();
    let (patient, _) = patient().split_for_parts();
    let (uploading, _) = uploading().split_for_parts();
    let guarded = |router: Router<ApiState>, scope| auth::guard(router, state, scope);
    operations
        .merge(open)
        .merge(docs_page::router())
        .merge(guarded(reading, Scope::PurgesRead))
        .merge(guarded(holding, Scope::HoldsWrite))
        .merge(unbuilt::router(state))
        .layer(from_fn_with_state(state.clone(), patience::limit))
        .merge(guarded(patient, Scope::PurgesRead))
        .merge(guarded(uploading, Scope::PurgesWrite))
}

/// Calls about the process itself, which anybody may make.
fn health() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(health::live)).routes(routes!(health::ready))
}

/// The call that needs `admin`, or nothing where it is open.
fn measuring() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(metrics::metrics))
}

/// Calls about the API, which anybody may make.
fn open() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(openapi::json)).routes(routes!(openapi::yaml))
}

/// Calls that need `purges:read`.
fn reading() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(purges::conversations::conversations))
        .routes(routes!(purges::jobs::jobs))
        .routes(routes!(conversations::conversation))
        .routes(routes!(holds::list::list_holds))
        .routes(routes!(holds::get::get_hold))
}

/// Calls that need `holds:write`.
fn holding() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(holds::create::create_hold))
        .routes(routes!(holds::release::release_hold))
}

/// Calls that may wait, and need `purges:read`.
fn patient() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(purges::get::get_purge))
}

/// Calls that take uploads, and need `purges:write`.
fn uploading() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(purges::create::create_purge))
}
