//! The HTTP API: a folder a resource, a file an operation. A handler extracts, checks, calls the store once, answers.
//!
//! Invariant: api never asks Genesys and holds no SQL; what it can't do yet it refuses, it never ignores a wish.

mod auth;
mod checks;
mod compress;
mod conversations;
mod docs_page;
mod etag;
mod examples;
mod extract;
mod general;
mod health;
mod holds;
mod incoming;
mod jobs;
mod measure;
mod metrics;
mod negotiate;
mod openapi;
mod orgs;
mod page;
mod patience;
mod problem;
mod purges;
mod request_id;
mod room;
mod serve;
mod trace_context;
mod unbuilt;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::domain::keys::Scope;
use crate::domain::terms::OrgTerms;
use crate::store::Store;

pub use metrics::MetricsDesk;
pub use openapi::{document_json, document_yaml};
pub use room::Room;
pub use serve::ConnectionTerms;

/// What the handlers are handed.
#[derive(Clone)]
pub struct ApiState {
    /// The database.
    pub store: Store,
    /// The configured orgs, sorted by name.
    pub orgs: Arc<[OrgTerms]>,
    /// What one request may bring.
    pub intake: IntakeTerms,
    /// No request may take longer, except waits, uploads and reports, of which no piece may.
    pub request_timeout: Duration,
    /// How long callers may take.
    pub connections: ConnectionTerms,
    /// For what they send.
    pub room: Room,
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
    let terms = state.connections;
    serve::serve(listener, router(state), terms, stop).await;
}

/// The calls that there are, and what all of them have around them.
fn router(state: ApiState) -> Router {
    let (health, _) = health().split_for_parts();
    let (measuring, _) = measuring().split_for_parts();
    let negotiated = |router: Router<ApiState>| router.route_layer(from_fn(negotiate::check));
    let operations = negotiated(health).merge(metrics::guard(negotiated(measuring), &state));
    let calls = match state.calls {
        Calls::All => calls(operations, &state),
        Calls::Operations => operations.layer(from_fn_with_state(state.clone(), patience::limit)),
    };
    let routes = calls
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn(etag::tag))
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(SetResponseHeaderLayer::if_not_present(
            axum::http::header::CACHE_CONTROL,
            axum::http::HeaderValue::from_static("no-store"),
        ))
        .layer(from_fn_with_state(state.clone(), request_id::carry))
        .layer(from_fn_with_state(state.clone(), measure::requests));
    // Outside of the request's id, which is written into problems.
    compress::fold(routes).with_state(state)
}

/// The whole API.
fn calls(operations: Router<ApiState>, state: &ApiState) -> Router<ApiState> {
    let (open, _) = open().split_for_parts();
    let (reading, _) = reading().split_for_parts();
    let (holding, _) = holding().split_for_parts();
    let (steering, _) = steering().split_for_parts();
    let (braking, _) = braking().split_for_parts();
    let (patient, _) = patient().split_for_parts();
    let (uploading, _) = uploading().split_for_parts();
    let guarded = |router: Router<ApiState>, scope| auth::guard(router, state, scope);
    operations
        .merge(open.route_layer(from_fn(negotiate::check)))
        .merge(docs_page::router())
        .merge(guarded(reading, Scope::PurgesRead))
        .merge(guarded(holding, Scope::HoldsWrite))
        .merge(guarded(steering, Scope::PurgesWrite))
        .merge(guarded(braking, Scope::Admin))
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
        .routes(routes!(purges::list::list_purges))
        .routes(routes!(purges::conversations::conversations))
        .routes(routes!(purges::jobs::jobs))
        .routes(routes!(purges::events::events))
        .routes(routes!(jobs::job))
        .routes(routes!(conversations::conversation))
        .routes(routes!(holds::list::list_holds))
        .routes(routes!(holds::get::get_hold))
        .routes(routes!(orgs::list::list_orgs))
        .routes(routes!(orgs::get::get_org))
}

/// Calls that need `holds:write`.
fn holding() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(holds::create::create_hold))
        .routes(routes!(holds::release::release_hold))
}

/// Calls that steer a purge, and need `purges:write`.
fn steering() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(purges::steer::cancel_purge))
        .routes(routes!(purges::steer::pause_purge))
        .routes(routes!(purges::steer::resume_purge))
        .routes(routes!(purges::steer::retry_purge))
}

/// Calls that stop and resume an org, and need `admin`.
fn braking() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(orgs::steer::stop_org)).routes(routes!(orgs::steer::resume_org))
}

/// Calls that may wait or stream, and need `purges:read`.
fn patient() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(purges::get::get_purge)).routes(routes!(purges::report::report))
}

/// Calls that take uploads, and need `purges:write`.
fn uploading() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(purges::create::create_purge))
}
