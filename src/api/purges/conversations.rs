//! `GET /purges/{id}/conversations`: the outcome of each, in the order of the request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{PathId, Query};
use crate::api::page::{self, Page};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::domain::outcome::Outcome;
use crate::store::views::conversations::ConversationRow;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Filter {
    /// Only those with this outcome.
    outcome: Option<Outcome>,
    /// Rows per page, 1 to 1000.
    #[serde(default, deserialize_with = "page::limit_of")]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// One conversation of a purge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the contract names the fields")]
pub(in crate::api) struct Conversation {
    conversation_id: Uuid,
    outcome: Outcome,
    /// Why: a stable code, which `Outcome` explains.
    code: Option<String>,
    /// More, for a person.
    detail: Option<String>,
    /// Genesys' id of the job that carried it last.
    job_id: Option<String>,
    decided_at: Option<Timestamp>,
    /// If a hold recorded in this service protected it (`legal_hold`): that hold, the oldest of several. It may have
    /// been released since.
    hold_id: Option<Uuid>,
    /// The matter of that hold.
    matter: Option<String>,
    /// How many holds protected it; 10 means 10 or more.
    hold_count: Option<i64>,
}

impl From<ConversationRow> for Conversation {
    fn from(row: ConversationRow) -> Self {
        // Most decisions are about many conversations, so only the last of them can take the words away.
        let decided = row.decided.map(Arc::unwrap_or_clone);
        let at = decided.as_ref().map(|decided| decided.at);
        let (code, detail) = decided.map(|decided| (decided.code, decided.detail)).unwrap_or_default();
        let protection = row.protection;
        Self {
            hold_id: protection.as_ref().map(|protection| protection.hold),
            hold_count: protection.as_ref().map(|protection| protection.holds),
            matter: protection.map(|protection| protection.matter),
            conversation_id: row.conversation_id,
            outcome: row.outcome,
            code,
            detail,
            job_id: row.upstream_job_id.map(|job| job.as_ref().to_owned()),
            decided_at: at,
        }
    }
}

/// List the conversations of a purge.
///
/// A page with few or no rows may still have a `nextCursor`: a page filters a limited number of conversations.
#[utoipa::path(
    get, path = "/purges/{id}/conversations", tag = "purges",
    params(("id" = uuid::Uuid, Path, description = "The purge."), Filter),
    responses(
        (status = 200, description = "A page of conversations, in the order of the request.", body = Page<Conversation>),
        (status = 404, description = "`not_found`"),
    )
)]
pub(in crate::api) async fn conversations(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(id): PathId,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Conversation>>, Problem> {
    let limit = page::limit(filter.limit);
    let list = format!("conversations/{id}/{}", filter.outcome.map_or("", Outcome::as_str));
    let after = page::after(&list, filter.cursor.as_deref())?;
    let page = state.store.conversations(&caller.reach, id, filter.outcome, after, limit).await?;
    let (rows, next) = page.ok_or_else(unknown)?;
    let next_cursor = next.and_then(|next| page::cursor(&list, next));
    Ok(Json(Page { items: rows.into_iter().map(Conversation::from).collect(), next_cursor }))
}
