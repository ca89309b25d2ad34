//! The control calls under `/sandbox`: settings, faults, tokens, the record of calls, and the truth.
//!
//! Invariant: control calls need no token, count against no limit and are struck by no fault.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::super::faults::{FaultRule, Standing};
use super::super::kinds::Kind;
use super::super::settings::Settings;
use super::super::truth::{CallReport, ConversationTruth, Truth};
use super::super::world::KindError;
use super::super::{Sandbox, SettingsError};
use super::error::{Answered, Refusal};

type App = State<Arc<Sandbox>>;
type Sent = Result<Json<Value>, JsonRejection>;

pub(super) async fn settings(State(sandbox): App) -> Json<Settings> {
    Json(sandbox.settings())
}

/// All settings; what is not given takes its default.
pub(super) async fn put_settings(State(sandbox): App, body: Sent) -> Answered<Settings> {
    let settings = Settings::from_json(json(body)?)?;
    sandbox.set_settings(settings.clone())?;
    Ok(Json(settings))
}

/// Some settings, as a JSON merge patch (RFC 7396).
pub(super) async fn patch_settings(State(sandbox): App, body: Sent) -> Answered<Settings> {
    Ok(Json(sandbox.patch_settings(json(body)?)?))
}

pub(super) async fn faults(State(sandbox): App) -> Json<Vec<Standing>> {
    Json(sandbox.faults())
}

/// The number of a rule that was added.
#[derive(Debug, Serialize)]
pub(super) struct Added {
    id: u64,
}

pub(super) async fn add_fault(State(sandbox): App, body: Sent) -> Result<Response, Refusal> {
    let rule: FaultRule = serde_path_to_error::deserialize(json(body)?)
        .map_err(|error| Refusal::bad_request(format!("fault: {error}")))?;
    let id = sandbox.add_fault(rule).map_err(|error| Refusal::bad_request(error.to_string()))?;
    Ok((StatusCode::CREATED, Json(Added { id })).into_response())
}

pub(super) async fn clear_faults(State(sandbox): App) -> StatusCode {
    sandbox.clear_faults();
    StatusCode::NO_CONTENT
}

pub(super) async fn remove_fault(State(sandbox): App, Path(id): Path<u64>) -> Result<StatusCode, Refusal> {
    if sandbox.world().faults.remove(id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(not_found("There is no such rule."))
    }
}

/// How many tokens were revoked.
#[derive(Debug, Serialize)]
pub(super) struct Revoked {
    revoked: usize,
}

pub(super) async fn revoke_tokens(State(sandbox): App) -> Json<Revoked> {
    Json(Revoked { revoked: sandbox.revoke_tokens() })
}

/// How much of the record is wanted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ReportQuery {
    /// So many of the last calls.
    last: usize,
    /// The number of ids that makes a job full.
    full_size: u32,
}

impl Default for ReportQuery {
    fn default() -> Self {
        Self { last: 100, full_size: 500 }
    }
}

pub(super) async fn calls(
    State(sandbox): App,
    query: Result<Query<ReportQuery>, QueryRejection>,
) -> Answered<CallReport> {
    let Query(query) = query.map_err(|rejection| Refusal::bad_request(rejection.body_text()))?;
    Ok(Json(sandbox.report(query.last, query.full_size)))
}

pub(super) async fn forget_calls(State(sandbox): App) -> StatusCode {
    sandbox.forget_calls();
    StatusCode::NO_CONTENT
}

pub(super) async fn truth(State(sandbox): App) -> Json<Truth> {
    Json(sandbox.truth())
}

pub(super) async fn conversation(State(sandbox): App, Path(id): Path<String>) -> Answered<ConversationTruth> {
    let id = conversation_id(&id)?;
    sandbox.conversation(id).map(Json).ok_or_else(|| not_found(&KindError::NoSuchConversation.to_string()))
}

/// What a conversation is to become.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConversationPatch {
    kind: Kind,
}

pub(super) async fn patch_conversation(
    State(sandbox): App,
    Path(id): Path<String>,
    body: Sent,
) -> Answered<ConversationTruth> {
    let id = conversation_id(&id)?;
    let patch: ConversationPatch = serde_path_to_error::deserialize(json(body)?)
        .map_err(|error| Refusal::bad_request(format!("conversation: {error}")))?;
    sandbox.set_kind(id, patch.kind).map_err(|error| match error {
        KindError::NoSuchConversation => not_found(&error.to_string()),
        KindError::TooLate => Refusal::new(StatusCode::CONFLICT, "too.late", error.to_string()),
    })?;
    conversation(State(sandbox), Path(id.to_string())).await
}

fn conversation_id(text: &str) -> Result<Uuid, Refusal> {
    super::details::conversation_id(text)
        .ok_or_else(|| Refusal::bad_request(format!("{text:.60} is not a conversation id.")))
}

fn json(body: Sent) -> Result<Value, Refusal> {
    match body {
        Ok(Json(object)) if object.is_object() => Ok(object),
        Ok(_) => Err(Refusal::bad_request("The body must be a JSON object.")),
        Err(rejection) => Err(Refusal::bad_request(rejection.body_text())),
    }
}

impl From<SettingsError> for Refusal {
    fn from(error: SettingsError) -> Self {
        Self::bad_request(error.to_string())
    }
}

fn not_found(message: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not.found", message)
}
