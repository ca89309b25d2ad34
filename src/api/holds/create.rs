//! `POST /holds`: protect conversations from now on.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::Object;
use uuid::Uuid;

use super::body::HoldBody;
use crate::api::auth::Authorized;
use crate::api::checks::{check_name, check_text, not_yet, optional_name, text};
use crate::api::extract::{JsonBody, NoQuery};
use crate::api::key_id::KeyId;
use crate::api::problem::{FieldError, Problem};
use crate::api::request_id::RequestId;
use crate::api::sent_ids::SentIds;
use crate::api::state::ApiState;
use crate::api::why::{LONGEST_REASON, reason};
use crate::domain::keys::Caller;
use crate::store::holds::create::{self as store, Held, NewHold};
use crate::store::keys::By;

const LONGEST_MATTER: usize = 200;
const LONGEST_EXTERNAL_ID: usize = 200;

/// What to protect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewHold)]
pub(in crate::api) struct NewHoldBody {
    /// The matter that protects.
    #[schema(schema_with = matter)]
    matter: String,
    /// The conversations, as UUIDs.
    #[schema(value_type = Vec<uuid::Uuid>, min_items = 1)]
    conversation_ids: Option<SentIds>,
    /// The caller's own id. Sent again while the hold is in force, it does not make a second hold.
    #[schema(schema_with = external_id)]
    external_id: Option<String>,
    /// Why, for the record. A hold that is found again keeps the reason that it was made for.
    #[schema(schema_with = reason)]
    reason: Option<String>,
    /// The org; left out: every org that the key reaches.
    org: Option<String>,
    /// Not supported yet.
    #[schema(schema_with = not_yet)]
    selector: Option<serde_json::Value>,
}

fn external_id() -> Object {
    optional_name(
        LONGEST_EXTERNAL_ID,
        "The caller's own id. Sent again while the hold is in force, it does not make a second hold.",
    )
    .build()
}

/// A matter is a text that says something.
fn matter() -> Object {
    const WITH_A_MARK: &str = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$";
    text(LONGEST_MATTER, "The matter that protects.").min_length(Some(1)).pattern(Some(WITH_A_MARK)).build()
}

/// A hold in force, and what it could not prevent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct CreatedHold {
    #[serde(flatten)]
    hold: HoldBody,
    /// No submit with one of its conversations leaves after this time.
    quiet_at: Timestamp,
    /// Conversations that are known to be gone, whoever deleted them, and those that a job may be deleting.
    too_late: Vec<Uuid>,
}

/// Create a legal hold.
///
/// Once this is answered, nothing new is submitted with its conversations; calls of earlier intents leave no later
/// than `quietAt`. A hold with an `externalId` may be sent repeatedly: while it is in force, the same key gets it
/// again, with the conversations for which it is now too late. Once it is released, a new one is created.
#[utoipa::path(
    post, path = "/holds", tag = "holds",
    request_body = NewHoldBody,
    responses(
        (status = 200, description = "The same hold is already in force under this `externalId`.", body = CreatedHold),
        (status = 201, description = "In force.", body = CreatedHold),
        (status = 400, description = "`invalid_json`, `invalid_query`, `broken_body`"),
        (status = 413, description = "`body_too_large`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`, `not_supported_yet`; `external_id_reused`: another hold is in force under this `externalId`"),
    )
)]
pub(in crate::api) async fn create_hold(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    KeyId(key_id): KeyId,
    RequestId(request_id): RequestId,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    let JsonBody { value: mut body, place: _place } =
        JsonBody::<NewHoldBody>::read(request, &state, &state.room.holds).await?;
    if body.selector.is_some() {
        return Err(Problem::not_supported_yet("selector"));
    }
    let ids = body.conversation_ids.take().unwrap_or_default();
    let wish = Wish { matter: body.matter, external_id: body.external_id, org: body.org };
    let by = By { key_id, name: &caller.name, request_id: &request_id, reason: body.reason.as_deref() };
    let (created, is_new) = protect(&state, &caller, by, wish, |errors| ids.check(errors)).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, format!("/holds/{}", created.hold.id))];
    let body =
        CreatedHold { hold: created.hold.into(), quiet_at: created.quiet_at, too_late: created.too_late };
    Ok((status, location, Json(body)).into_response())
}

/// The fields beside the conversations.
pub(crate) struct Wish {
    pub(crate) matter: String,
    pub(crate) external_id: Option<String>,
    /// `None`: every org that the key reaches.
    pub(crate) org: Option<String>,
}

/// Checks everything and activates the hold; returns whether it is a new one.
pub(crate) async fn protect(
    state: &ApiState,
    caller: &Caller,
    by: By<'_>,
    wish: Wish,
    ids: impl FnOnce(&mut Vec<FieldError>) -> Vec<Uuid>,
) -> Result<(store::CreatedHold, bool), Problem> {
    let mut errors = Vec::new();
    if wish.matter.trim().is_empty() {
        errors.push(FieldError::new("/matter", "must name the matter"));
    }
    check_text(&mut errors, "/matter", Some(&wish.matter), LONGEST_MATTER);
    check_text(&mut errors, "/reason", by.reason, LONGEST_REASON);
    check_name(&mut errors, "/externalId", wish.external_id.as_deref(), LONGEST_EXTERNAL_ID);
    let mut conversation_ids = ids(&mut errors);
    conversation_ids.sort_unstable();
    conversation_ids.dedup();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let new = NewHold {
        matter: wish.matter,
        conversation_ids,
        orgs: orgs(state, caller, wish.org)?,
        external_id: wish.external_id,
        reason: by.reason.map(str::to_owned),
        key_id: by.key_id,
        created_by: by.name.to_owned(),
        request_id: by.request_id.to_owned(),
    };
    match state.store.create_hold(&new).await? {
        Held::New(created) => {
            tracing::info!(hold = %created.hold.id, matter = new.matter, by = new.created_by, "a hold is in force");
            Ok((created, true))
        }
        Held::Before(created) => Ok((created, false)),
        Held::Misused(id) => {
            let detail = format!(
                "hold {id} is in force under this externalId with another matter, other conversations or other orgs; release it first, or use another externalId"
            );
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "external_id_reused", detail))
        }
    }
}

/// The named org, or every configured one that the key reaches.
fn orgs(state: &ApiState, caller: &Caller, named: Option<String>) -> Result<Vec<String>, Problem> {
    let reached = state.orgs.iter().map(|org| &org.name).filter(|org| caller.reach.covers(org));
    let orgs: Vec<String> = match &named {
        Some(named) => reached.filter(|org| *org == named).cloned().collect(),
        None => reached.cloned().collect(),
    };
    if orgs.is_empty() {
        let detail = named.map_or_else(
            || "this key reaches none of the configured orgs".to_owned(),
            |named| format!("there is no org {named:?}"),
        );
        return Err(Problem::invalid_field("/org", detail));
    }
    Ok(orgs)
}
