//! `GET /metrics`: the counters of the process, and gauges from the database.
//!
//! One scrape at a time queries the database, at most every few seconds. If it does not answer, the page has the
//! process' own metrics, and says so.

pub(super) mod desk;
mod gauges;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::auth::{self, Refusal};
use super::problem::Problem;
use super::state::ApiState;
use crate::domain::keys::Scope;
use crate::meters::Page;
use crate::store::Urgency;
use desk::PATIENCE;

/// Guards the route if a key is required.
pub(super) fn guard(router: Router<ApiState>, state: &ApiState) -> Router<ApiState> {
    if state.metrics.is_open() {
        return router;
    }
    router.route_layer(from_fn_with_state(state.clone(), check))
}

/// As for every other call, with two exceptions: the key must reach every org, because the metrics are about all of
/// them; and while the database is down, which is when they are needed most, a key that was accepted before still is.
async fn check(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let key = auth::bearer(request.headers()).unwrap_or_default().to_owned();
    let asked = auth::authorize(&state, request.headers(), Scope::Admin, Urgency::Protecting);
    let refusal = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok((_, caller))) if caller.reach.is_everywhere() => {
            state.metrics.remember(&key);
            return next.run(request).await;
        }
        Ok(Ok(_)) => {
            let detail = "metrics are about every org; this key reaches only some of them";
            Refusal::Problem(Problem::new(StatusCode::FORBIDDEN, "no_org", detail))
        }
        Ok(Err(refusal)) => refusal,
        Err(_) => Refusal::Problem(Problem::unavailable()),
    };
    if !refusal.is_outage() {
        state.metrics.forget(&key);
    } else if state.metrics.remembers(&key) {
        return next.run(request).await;
    }
    refusal.into_response()
}

/// The metrics of this process, for Prometheus.
///
/// docs/metrics.md describes every metric and its labels. Needs a key with the scope `admin` that reaches every org,
/// unless `telemetry.metrics` is `open`.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses(
        (status = 200, description = "They are.", body = String, content_type = "text/plain", example = "# TYPE genesys_purge_database_up gauge\ngenesys_purge_database_up 1\n"),
        (status = 403, description = "`missing_scope`, `no_org`"),
    )
)]
pub(super) async fn metrics(State(state): State<ApiState>) -> impl IntoResponse {
    let readings = state.metrics.readings(&state.store).await;
    let mut page = state.metrics.meters().page();
    let listeners = state.live.listeners();
    gauges::write(&mut page, &state.store.pools(), listeners, readings.as_deref());
    ([(CONTENT_TYPE, Page::MEDIA_TYPE)], page.to_string())
}
