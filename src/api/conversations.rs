//! `GET /conversations/{conversationId}`: everything that this service ever did about that conversation.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Authorized;
use super::extract::{PathId, Query};
use super::holds::body::HoldBody;
use super::page::{self, WhichPage};
use super::problem::Problem;
use super::state::ApiState;
use crate::domain::outcome::Outcome;
use crate::store::views::conversation::{ConversationInPurge, DecisionRow};

/// A page of the history of one conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConversationHistory {
    conversation_id: Uuid,
    /// What each purge did with it, oldest first.
    purges: Vec<InPurge>,
    /// The legal holds that name it, released ones included, oldest first.
    holds: Vec<HoldBody>,
    /// Where to continue; null if there are no more purges and holds.
    next_cursor: Option<String>,
}

/// How far both lists were read: the last id of each, `None` at the start.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Told {
    purge: Option<Uuid>,
    hold: Option<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct InPurge {
    purge_id: Uuid,
    org: String,
    accepted_at: Timestamp,
    requested_by: String,
    /// Why it was asked for.
    reason: Option<String>,
    /// The caller's own name for the purge.
    reference: Option<String>,
    outcome: Outcome,
    /// If a hold recorded in this service protected it (`legal_hold`): that hold, the oldest of several. It may have
    /// been released since; see `holds`.
    hold_id: Option<Uuid>,
    /// The matter of that hold.
    matter: Option<String>,
    /// How many holds protected it; 10 means 10 or more.
    hold_count: Option<i64>,
    decisions: Vec<Decision>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Decision {
    from: Outcome,
    to: Outcome,
    /// The step of the engine that decided.
    step: String,
    /// Why: a stable code, which `Outcome` explains.
    code: Option<String>,
    detail: Option<String>,
    /// Genesys' id of the job; null if Genesys did not accept it, and then `detail` has its answer.
    job_id: Option<String>,
    /// Our id of it.
    our_job_id: Option<Uuid>,
    at: Timestamp,
}

impl From<DecisionRow> for Decision {
    fn from(row: DecisionRow) -> Self {
        Self {
            from: row.from,
            to: row.to,
            step: row.step,
            code: row.code,
            detail: row.detail,
            job_id: row.upstream_job_id,
            our_job_id: row.job,
            at: row.at,
        }
    }
}

impl From<ConversationInPurge> for InPurge {
    fn from(row: ConversationInPurge) -> Self {
        let protection = row.protection;
        Self {
            reason: row.reason,
            reference: row.reference,
            hold_id: protection.as_ref().map(|protection| protection.hold),
            hold_count: protection.as_ref().map(|protection| protection.holds),
            matter: protection.map(|protection| protection.matter),
            purge_id: row.purge,
            org: row.org,
            accepted_at: row.accepted_at,
            requested_by: row.requested_by,
            outcome: row.outcome,
            decisions: row.decisions.into_iter().map(Decision::from).collect(),
        }
    }
}

/// Read the history of a conversation.
///
/// Its purges and holds are paged together: each page has up to `limit` of each, and `nextCursor` is null at the end of
/// both.
#[utoipa::path(
    get, path = "/conversations/{conversationId}", tag = "conversations",
    params(("conversationId" = uuid::Uuid, Path, description = "The conversation."), WhichPage),
    responses(
        (status = 200, description = "What was done with it.", body = ConversationHistory),
        (status = 404, description = "`not_found`: no purge and no hold ever named it"),
    )
)]
pub(super) async fn conversation(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(conversation_id): PathId,
    Query(wanted): Query<WhichPage>,
) -> Result<Json<ConversationHistory>, Problem> {
    let limit = page::limit(wanted.limit);
    let list = format!("history/{conversation_id}");
    let told: Told = page::after(&list, wanted.cursor.as_deref())?.unwrap_or_default();
    let (reach, fetched) = (&caller.reach, page::fetched(limit));
    let mut purges = state.store.conversation(reach, conversation_id, told.purge, fetched).await?;
    let mut holds = state.store.holds_on(reach, conversation_id, told.hold, fetched).await?;
    if purges.is_empty() && holds.is_empty() {
        return Err(Problem::not_found("conversation in any purge or hold"));
    }
    let has_more = purges.len() > limit || holds.len() > limit;
    purges.truncate(limit);
    holds.truncate(limit);
    let told = Told {
        purge: purges.last().map_or(told.purge, |last| Some(last.purge)),
        hold: holds.last().map_or(told.hold, |last| Some(last.id)),
    };
    Ok(Json(ConversationHistory {
        conversation_id,
        purges: purges.into_iter().map(InPurge::from).collect(),
        holds: holds.into_iter().map(HoldBody::from).collect(),
        next_cursor: page::cursor(&list, told).filter(|_| has_more),
    }))
}
