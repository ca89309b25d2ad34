//! `GET /conversations/{conversationId}`: everything that this service ever did about that conversation.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::ApiState;
use super::auth::Authorized;
use super::extract::{NoQuery, PathId};
use super::holds::body::HoldBody;
use super::problem::Problem;
use crate::domain::outcome::Outcome;
use crate::store::views::conversation::{ConversationInPurge, DecisionRow};

/// The history of one conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConversationHistory {
    conversation_id: Uuid,
    /// What each purge that named it did, oldest first.
    purges: Vec<InPurge>,
    /// The legal holds that name it, released ones included.
    holds: Vec<HoldBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct InPurge {
    purge_id: Uuid,
    org: String,
    accepted_at: Timestamp,
    requested_by: String,
    outcome: Outcome,
    decisions: Vec<Decision>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Decision {
    from: Outcome,
    to: Outcome,
    /// The step of the engine that decided.
    step: String,
    code: Option<String>,
    detail: Option<String>,
    /// Genesys' id of the job.
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
        Self {
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
#[utoipa::path(
    get, path = "/conversations/{conversationId}", tag = "conversations",
    params(("conversationId" = uuid::Uuid, Path, description = "The conversation.")),
    responses(
        (status = 200, description = "What was done about it.", body = ConversationHistory),
        (status = 404, description = "`not_found`: no purge and no hold ever named it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn conversation(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    PathId(conversation_id): PathId,
    _: NoQuery,
) -> Result<Json<ConversationHistory>, Problem> {
    let purges = state.store.conversation(conversation_id, caller.orgs.as_deref()).await?;
    let holds = state.store.holds_on(conversation_id).await?;
    let purges: Vec<InPurge> = purges.into_iter().map(InPurge::from).collect();
    let holds: Vec<HoldBody> = holds
        .into_iter()
        .filter(|hold| hold.orgs.iter().any(|org| caller.reaches(org)))
        .map(|hold| HoldBody::seen_by(&caller, hold))
        .collect();
    if purges.is_empty() && holds.is_empty() {
        return Err(Problem::not_found("conversation in any purge or hold"));
    }
    Ok(Json(ConversationHistory { conversation_id, purges, holds }))
}
