//! `GET /holds`: newest first.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::body::HoldBody;
use crate::api::auth::Authorized;
use crate::api::extract::Query;
use crate::api::page::{self, Page};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::store::holds::list::Wanted;

/// Which holds, and which page of them. All filters must be met.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(rename_all = "camelCase")]
pub(in crate::api) struct HoldsPage {
    /// Only those that name this conversation.
    conversation_id: Option<Uuid>,
    /// Only those in force (`true`), or only those that were released (`false`).
    active: Option<bool>,
    /// Rows a page, 1 to 1000.
    #[serde(default, deserialize_with = "page::limit_of")]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// What a cursor is bound to.
#[derive(Serialize)]
struct Filters {
    conversation: Option<Uuid>,
    active: Option<bool>,
}

/// List the legal holds, newest first.
#[utoipa::path(
    get, path = "/holds", tag = "holds",
    params(HoldsPage),
    responses(
        (status = 200, description = "A page of holds.", body = Page<HoldBody>),
    )
)]
pub(in crate::api) async fn list_holds(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Query(asked): Query<HoldsPage>,
) -> Result<Json<Page<HoldBody>>, Problem> {
    let limit = page::limit(asked.limit);
    let wanted = Wanted { conversation: asked.conversation_id, is_active: asked.active };
    let list = match (wanted.conversation, wanted.is_active) {
        (None, None) => "holds".to_owned(),
        (conversation, active) => page::list("holds", &Filters { conversation, active }),
    };
    let before = page::after(&list, asked.cursor.as_deref())?;
    let mut rows = state.store.holds(&caller.reach, wanted, before, page::fetched(limit)).await?;
    let next_cursor = page::cut(&list, &mut rows, limit, |hold| hold.id);
    Ok(Json(Page { items: rows.into_iter().map(HoldBody::from).collect(), next_cursor }))
}
