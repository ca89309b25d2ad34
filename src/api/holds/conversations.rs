//! `GET /holds/{id}/conversations`: the conversations of a hold.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{PathId, Query};
use crate::api::page::{self, Page, WhichPage};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::store::Urgency;
use crate::store::holds::list::HeldConversation;

/// A conversation that a hold names.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HeldConversation)]
pub(in crate::api) struct HeldBody {
    conversation_id: Uuid,
    /// The hold came too late for it: it is gone, or a job may be deleting it.
    too_late: bool,
}

impl From<HeldConversation> for HeldBody {
    fn from(held: HeldConversation) -> Self {
        Self { conversation_id: held.conversation, too_late: held.is_too_late }
    }
}

/// List the conversations of a legal hold, by their ids.
///
/// Those that it names in orgs that the key reaches.
#[utoipa::path(
    get, path = "/holds/{id}/conversations", tag = "holds",
    params(("id" = uuid::Uuid, Path, description = "The hold."), WhichPage),
    responses(
        (status = 200, description = "A page of conversations.", body = Page<HeldBody>),
        (status = 404, description = "`not_found`"),
    )
)]
pub(in crate::api) async fn held_conversations(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(id): PathId,
    Query(wanted): Query<WhichPage>,
) -> Result<Json<Page<HeldBody>>, Problem> {
    let limit = page::limit(wanted.limit);
    let list = format!("held/{id}");
    let after = page::after(&list, wanted.cursor.as_deref())?;
    let reach = &caller.reach;
    state.store.hold(reach, id, Urgency::Ordinary).await?.ok_or_else(unknown)?;
    let mut rows = state.store.held_conversations(reach, id, after, page::fetched(limit)).await?;
    let next_cursor = page::cut(&list, &mut rows, limit, |held| held.conversation);
    Ok(Json(Page { items: rows.into_iter().map(HeldBody::from).collect(), next_cursor }))
}
