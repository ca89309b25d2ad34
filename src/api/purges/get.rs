//! `GET /purges/{id}`: one purge, at once or when it is final.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;
use uuid::Uuid;

use super::body::PurgeBody;
use super::read;
use crate::api::auth::{self, Authorized};
use crate::api::extract::{PathId, Query, parameter};
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::domain::keys::Reach;
use crate::store::purges::load::Purge;

const LONGEST_WAIT: u64 = 60;

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Wait {
    /// Answer when the purge is final, or after this many seconds (at most 60).
    #[param(maximum = 60)]
    #[serde(default, deserialize_with = "seconds")]
    wait: Option<u64>,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let must = || format!("must be a whole number of seconds, at most {LONGEST_WAIT}");
    parameter(deserializer, |wait| *wait <= LONGEST_WAIT, must)
}

/// Read a purge.
#[utoipa::path(
    get, path = "/purges/{id}", tag = "purges",
    params(("id" = uuid::Uuid, Path, description = "The purge."), Wait),
    responses(
        (status = 200, description = "The purge.", body = PurgeBody),
        (status = 401, description = "`no_key`: send a valid key; also if it was revoked during the wait"),
        (status = 404, description = "`not_found`"),
        (status = 503, description = "`unavailable`; also if too many requests wait, with this key or in total"),
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
    let purge = read(&state, &caller.reach, id).await?;
    if wait == 0 || purge.state.is_final() {
        return Ok(Json(purge.into()));
    }
    let _place = state.room.waits.take(key, 1, Duration::ZERO).await?;
    let ended = end(&state, &caller.reach, id, key, Duration::from_secs(wait)).await;
    auth::check_again(&state.store, key).await?;
    let purge = match ended {
        Some(purge) => purge,
        None => read(&state, &caller.reach, id).await?,
    };
    Ok(Json(purge.into()))
}

/// Waits until the purge is final, the key is no longer valid, or the time is over. Each purge and each key is polled
/// once for all waiters.
async fn end(state: &ApiState, reach: &Reach, id: Uuid, KeyId(key): KeyId, wait: Duration) -> Option<Purge> {
    let (store, reach) = (state.store.clone(), reach.clone());
    let mut purge = state.ends.follow(id, move || {
        let (store, reach) = (store.clone(), reach.clone());
        async move { store.purge(&reach, id).await.ok().flatten() }
    });
    let store = state.store.clone();
    let mut in_force = state.keys.follow(key, move || {
        let store = store.clone();
        async move { store.is_key_in_force(key).await.ok() }
    });
    tokio::select! {
        biased;
        Some(_) = in_force.until(|in_force| !in_force) => None,
        Some(purge) = purge.until(|purge| purge.state.is_final()) => Some(purge),
        () = tokio::time::sleep(wait) => None,
    }
}
