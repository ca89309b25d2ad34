//! `GET /purges/{id}`: one purge, at once or when it is final.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::IntoParams;

use super::body::PurgeBody;
use super::read;
use crate::api::auth::{self, Authorized, KeyId};
use crate::api::extract::{PathId, Query};
use crate::api::problem::Problem;
use crate::api::state::ApiState;

const LONGEST_WAIT: u64 = 60;

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Wait {
    /// Answer when the purge is final, or after so many seconds (60 at most).
    #[param(maximum = 60)]
    wait: Option<u64>,
}

/// Read a purge.
#[utoipa::path(
    get, path = "/purges/{id}", tag = "purges",
    params(("id" = uuid::Uuid, Path, description = "The purge."), Wait),
    responses(
        (status = 200, description = "The purge.", body = PurgeBody),
        (status = 401, description = "`no_key`: send a key in force; also where it was revoked during the wait"),
        (status = 404, description = "`not_found`"),
    )
)]
pub(in crate::api) async fn get_purge(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    key: KeyId,
    PathId(id): PathId,
    Query(query): Query<Wait>,
) -> Result<Json<PurgeBody>, Problem> {
    let wait = query.wait.unwrap_or_default();
    if wait > LONGEST_WAIT {
        return Err(Problem::invalid_query("wait", format!("may be {LONGEST_WAIT} seconds at most")));
    }
    let until = Instant::now() + Duration::from_secs(wait);
    let mut pause = Duration::from_millis(50);
    loop {
        let purge = read(&state, &caller.reach, id).await?;
        let left = until.saturating_duration_since(Instant::now());
        if purge.state.is_final() || left.is_zero() {
            return Ok(Json(purge.into()));
        }
        tokio::time::sleep(pause.min(left)).await;
        auth::check_again(&state.store, key).await?;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
