//! `GET /metrics`: what the process counted, and what the database tells of the work at this moment.
//!
//! The database is asked by one scrape at a time and not more often than every [`FRESH`], whoever scrapes; where it does
//! not answer, the page holds what the process knows, and says so.

mod gauges;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::ApiState;
use super::auth::{self, Refusal};
use super::problem::Problem;
use crate::domain::keys::Scope;
use crate::meters::{Meters, Page};
use crate::store::Store;
use crate::store::views::metrics::Readings;

/// What was read of the database is shown for so long.
const FRESH: Duration = Duration::from_secs(5);

/// The database may take so long, for the key and for the readings each: scrapers wait for ten seconds as a rule.
const PATIENCE: Duration = Duration::from_secs(2);

/// A key that was let through is let through for so long where the database can't be asked.
const REMEMBERED: Duration = Duration::from_hours(24);

/// So many keys are remembered.
const KEYS_REMEMBERED: usize = 8;

/// What `/metrics` works with.
#[derive(Debug)]
pub struct MetricsDesk {
    meters: Meters,
    is_open: bool,
    /// The last readings, `None` where there were none to be had, and when.
    last: tokio::sync::Mutex<Option<(Instant, Option<Arc<Readings>>)>>,
    /// Digests of keys, and when each was let through last.
    keys: Mutex<Vec<([u8; 32], Instant)>>,
}

impl MetricsDesk {
    /// Shows these meters, to anybody or to keys with the scope `admin`.
    pub fn new(meters: Meters, is_open: bool) -> Self {
        Self { meters, is_open, last: tokio::sync::Mutex::default(), keys: Mutex::default() }
    }

    pub(super) fn meters(&self) -> &Meters {
        &self.meters
    }

    async fn readings(&self, store: &Store) -> Option<Arc<Readings>> {
        let mut last = self.last.lock().await;
        if let Some((at, readings)) = &*last
            && at.elapsed() < FRESH
        {
            return readings.clone();
        }
        let readings = match tokio::time::timeout(PATIENCE, store.readings()).await {
            Ok(Ok(readings)) => Some(Arc::new(readings)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "metrics are shown without those of the database");
                None
            }
            Err(_) => {
                tracing::warn!("the database did not answer in time; metrics are shown without its own");
                None
            }
        };
        *last = Some((Instant::now(), readings.clone()));
        readings
    }

    /// Remembers or forgets a key, or tells whether it is remembered.
    fn with_keys<T>(&self, key: &str, act: impl FnOnce(&mut Vec<([u8; 32], Instant)>, [u8; 32]) -> T) -> T {
        let digest = Sha256::digest(key).into();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut keys, digest)
    }

    fn remember(&self, key: &str) {
        self.with_keys(key, |keys, digest| {
            keys.retain(|(known, _)| *known != digest);
            keys.push((digest, Instant::now()));
            if keys.len() > KEYS_REMEMBERED {
                keys.remove(0);
            }
        });
    }

    fn forget(&self, key: &str) {
        self.with_keys(key, |keys, digest| keys.retain(|(known, _)| *known != digest));
    }

    fn remembers(&self, key: &str) -> bool {
        self.with_keys(key, |keys, digest| {
            keys.iter().any(|(known, at)| *known == digest && at.elapsed() < REMEMBERED)
        })
    }
}

/// Guards the route where a key is asked for.
pub(super) fn guard(router: Router<ApiState>, state: &ApiState) -> Router<ApiState> {
    if state.metrics.is_open {
        return router;
    }
    router.route_layer(from_fn_with_state(state.clone(), check))
}

/// As for every other call, but for two things: the key must reach every org, since the metrics tell of all; and while
/// the database is down, which is when they are needed most, a key that was let through before still is.
async fn check(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let key = auth::bearer(request.headers()).unwrap_or_default().to_owned();
    let asked = auth::authorize(&state, request.headers(), Scope::Admin);
    let refusal = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok((_, caller))) if caller.reach.is_everywhere() => {
            state.metrics.remember(&key);
            return next.run(request).await;
        }
        Ok(Ok(_)) => {
            let detail = "metrics tell of every org; this key reaches only some";
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
/// Every metric, its labels and what it means stand in docs/metrics.md. Needs a key with the scope `admin` that reaches
/// every org, except where `telemetry.metrics` is `open`.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses(
        (status = 200, description = "They are.", body = String, content_type = "text/plain", example = "# TYPE genesys_purge_database_up gauge\ngenesys_purge_database_up 1\n"),
        (status = 403, description = "`missing_scope`, `no_org`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn metrics(State(state): State<ApiState>) -> impl IntoResponse {
    let readings = state.metrics.readings(&state.store).await;
    let mut page = state.metrics.meters.page();
    gauges::write(&mut page, &state.store.pools(), readings.as_deref());
    ([(CONTENT_TYPE, Page::MEDIA_TYPE)], page.to_string())
}
