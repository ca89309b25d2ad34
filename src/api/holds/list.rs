//! `GET /holds`: newest first.

use axum::Json;
use axum::extract::State;

use super::body::HoldBody;
use crate::api::auth::Authorized;
use crate::api::extract::Query;
use crate::api::page::{self, Page, WhichPage};
use crate::api::problem::Problem;
use crate::api::state::ApiState;

/// List the legal holds, newest first.
#[utoipa::path(
    get, path = "/holds", tag = "holds",
    params(WhichPage),
    responses(
        (status = 200, description = "A page of holds.", body = Page<HoldBody>),
    )
)]
pub(in crate::api) async fn list_holds(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Query(wanted): Query<WhichPage>,
) -> Result<Json<Page<HoldBody>>, Problem> {
    let limit = page::limit(wanted.limit)?;
    let before = page::after("holds", wanted.cursor.as_deref())?;
    let mut rows = state.store.holds(&caller.reach, before, page::fetched(limit)).await?;
    let next_cursor = page::cut("holds", &mut rows, limit, |hold| hold.id);
    Ok(Json(Page { items: rows.into_iter().map(HoldBody::from).collect(), next_cursor }))
}
