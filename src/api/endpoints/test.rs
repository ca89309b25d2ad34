//! `POST /webhook-endpoints/{id}/test`: does the receiver answer, and does it accept our signature?

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{NoBody, NoQuery, PathId};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::domain::events::Ping;
use crate::domain::keys::Reach;
use crate::webhooks::Sent;

/// The result of a `ping`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookTest)]
pub(crate) struct TestBody {
    /// The `webhook-id` of the `ping`.
    webhook_id: Uuid,
    /// It was delivered.
    pub(crate) delivered: bool,
    /// The status of the answer; null if there was none.
    pub(crate) status: Option<u16>,
    pub(crate) latency_seconds: f64,
    /// The start of the answer's body, up to 4 KiB; what may be a secret from the receiver's URL is removed.
    pub(crate) response: Option<String>,
    /// Why it failed; null if it was delivered.
    pub(crate) error: Option<String>,
}

/// Send a `ping` to a webhook endpoint now.
///
/// It is signed like every webhook, is sent once, and does not count as a delivery. A disabled endpoint can be tested.
#[utoipa::path(
    post, path = "/webhook-endpoints/{id}/test", tag = "webhooks",
    params(("id" = uuid::Uuid, Path, description = "The endpoint.")),
    responses(
        (status = 200, description = "The result, whatever it is.", body = TestBody),
        (status = 404, description = "`not_found`: also if the key does not reach all of its orgs"),
    )
)]
pub(in crate::api) async fn test_webhook_endpoint(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(id): PathId,
    _: NoQuery,
    _: NoBody,
) -> Result<Json<TestBody>, Problem> {
    pinged(&state, &caller.reach, id).await.map(Json)
}

/// Sends it a `ping`.
pub(crate) async fn pinged(state: &ApiState, reach: &Reach, id: Uuid) -> Result<TestBody, Problem> {
    let endpoint = state.store.endpoint(reach, id).await?.ok_or_else(unknown)?;
    let webhook_id = (state.new_id)();
    let now = (state.hooks.clock)();
    let ping = Ping::new(endpoint.id, now);
    let payload = serde_json::to_string(&ping).map_err(|_| Problem::internal())?;
    let (Sent { taken, answer }, took) =
        state.hooks.pinger.ping(&endpoint.url, endpoint.secret, (webhook_id, now), &payload).await;
    Ok(TestBody {
        webhook_id,
        delivered: taken.is_ok(),
        status: answer.as_ref().map(|answer| answer.status),
        latency_seconds: took.as_secs_f64(),
        response: answer.map(|answer| answer.body),
        error: taken.err().map(|error| error.to_string()),
    })
}
