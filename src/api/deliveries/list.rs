//! `GET /webhook-deliveries`: newest first, of the orgs that the key reaches.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::body::DeliveryBody;
use super::since;
use crate::api::auth::Authorized;
use crate::api::extract::Query;
use crate::api::page::{self, Page};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::domain::state::DeliveryState;
use crate::store::deliveries::list::Wanted;

/// Which deliveries, and which page of them. All filters must be met.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct DeliveriesPage {
    /// Only those in this state.
    state: Option<DeliveryState>,
    /// Only those about this purge: its end, or the end of one of its jobs.
    purge: Option<Uuid>,
    /// Only those from this time or later.
    since: Option<Timestamp>,
    /// Only those for this endpoint; `retention` is the operator's own receiver.
    endpoint: Option<String>,
    /// Rows per page, 1 to 1000.
    #[serde(default, deserialize_with = "page::limit_of")]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// What a cursor is bound to.
#[derive(Serialize)]
struct Filters<'a> {
    state: Option<DeliveryState>,
    purge: Option<Uuid>,
    since: Option<Timestamp>,
    endpoint: Option<&'a str>,
}

/// List webhook deliveries, newest first.
///
/// Deliveries of no org are only shown to keys that reach every org. A page with few or no rows may still have a
/// `nextCursor`: a page looks through a limited number of the deliveries of a purge. A purge that the key does not
/// reach has no deliveries here, like one that does not exist.
#[utoipa::path(
    get, path = "/webhook-deliveries", tag = "webhooks",
    params(DeliveriesPage),
    responses(
        (status = 200, description = "A page of deliveries.", body = Page<DeliveryBody>),
    )
)]
pub(in crate::api) async fn list_webhook_deliveries(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Query(page): Query<DeliveriesPage>,
) -> Result<Json<Page<DeliveryBody>>, Problem> {
    let limit = page::limit(page.limit);
    let endpoint = page.endpoint.as_deref();
    let filters = Filters { state: page.state, purge: page.purge, since: page.since, endpoint };
    let list = page::list("webhook-deliveries", &filters);
    let before = page::after(&list, page.cursor.as_deref())?;
    let wanted = Wanted {
        state: page.state,
        purge: page.purge,
        since: page.since.map(since),
        endpoint: page.endpoint,
    };
    let (rows, next) = state.store.list_deliveries(&caller.reach, &wanted, before, limit).await?;
    let next_cursor = next.and_then(|next| page::cursor(&list, next));
    Ok(Json(Page { items: rows.into_iter().map(DeliveryBody::from).collect(), next_cursor }))
}
