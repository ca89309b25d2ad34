//! `GET /webhook-endpoints`: newest first.

use axum::Json;
use axum::extract::State;

use super::body::EndpointBody;
use crate::api::auth::Authorized;
use crate::api::extract::Query;
use crate::api::page::{self, Page, WhichPage};
use crate::api::problem::Problem;
use crate::api::state::ApiState;

/// List the registered webhook endpoints, newest first.
///
/// Endpoints that a purge named are not listed; read them by their id.
#[utoipa::path(
    get, path = "/webhook-endpoints", tag = "webhooks",
    params(WhichPage),
    responses((status = 200, description = "A page of endpoints.", body = Page<EndpointBody>))
)]
pub(in crate::api) async fn list_webhook_endpoints(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Query(wanted): Query<WhichPage>,
) -> Result<Json<Page<EndpointBody>>, Problem> {
    let limit = page::limit(wanted.limit);
    let before = page::after("webhook-endpoints", wanted.cursor.as_deref())?;
    let mut rows = state.store.endpoints(&caller.reach, before, page::fetched(limit)).await?;
    let next_cursor = page::cut("webhook-endpoints", &mut rows, limit, |endpoint| endpoint.id);
    Ok(Json(Page { items: rows.into_iter().map(EndpointBody::from).collect(), next_cursor }))
}
