//! `POST /purges`: accept a purge.
//!
//! A body of any format is spooled first; only then, in one transaction, does anything reach the database. A refused
//! request leaves nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, SchemaType, Type};

use super::body::AcceptedPurge;
use super::fields::Fields;
use super::{fields, read, repeat};
use crate::api::auth::{self, Authorized};
use crate::api::endpoints;
use crate::api::extract::{JsonBody, media_type, unique_texts, unsupported};
use crate::api::incoming;
use crate::api::key_id::KeyId;
use crate::api::problem::Problem;
use crate::api::request_id::RequestId;
use crate::api::room::Place;
use crate::api::sent_ids::SentIds;
use crate::api::state::ApiState;
use crate::api::trace_context;
use crate::domain::keys::Caller;
use crate::intake::{self, Format, Limits, Spooled};
use crate::store::purges::accept::{Accepted, NewPurge};
use crate::store::purges::load::Purge;
use crate::store::purges::repeat::{Before, RepeatKey};
use crate::traces::Span;

/// How long a repeat waits before it checks whether the first request has ended; longer each time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// But no longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What to purge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewPurge)]
pub(in crate::api) struct NewPurgeBody {
    /// The conversations, as UUIDs; repeats count once.
    #[schema(value_type = Vec<uuid::Uuid>, min_items = 1)]
    conversation_ids: SentIds,
    /// The org; may be left out if the key reaches only one.
    org: Option<String>,
    /// Why, for the record.
    #[schema(schema_with = fields::reason)]
    reason: Option<String>,
    /// The caller's own name for it.
    #[schema(schema_with = fields::reference)]
    reference: Option<String>,
    /// Only find out what would be purged.
    #[serde(default)]
    dry_run: bool,
    /// True or left out: this service does nothing else.
    #[schema(schema_with = fields::only_true)]
    permanent_delete: Option<bool>,
    /// How many ids were sent, repeats included: a truncated list deletes nothing.
    expected_count: Option<u64>,
    /// Up to 20 labels.
    #[serde(default, deserialize_with = "unique_texts")]
    #[schema(schema_with = fields::labels)]
    labels: BTreeMap<String, String>,
    #[schema(schema_with = webhook_url)]
    webhook_url: Option<String>,
}

fn webhook_url() -> Object {
    let mut url = endpoints::fields::url();
    url.schema_type = SchemaType::from_iter([Type::String, Type::Null]);
    url.description = Some("A webhook URL for the end of the purge and of each of its jobs.".to_owned());
    url
}

/// Accept a purge.
///
/// The ids come as JSON, or stream in any number as CSV (`text/csv`: a header with a column `conversationId`, other
/// columns ignored, or one id per line) or NDJSON (`application/x-ndjson`: an id or an object with `conversationId` a
/// line), with the other fields in the query string. One bad line refuses the whole upload. In CSV a line is also bad
/// if the id in it may be a wrong one: a row with text in more columns than the first line, or with fewer columns;
/// without a header, an id in a second column; text after a closing quote, or blanks before an opening one. The answer
/// is the purge as it was accepted, also to a repeat that arrives after its end.
#[utoipa::path(
    post, path = "/purges", tag = "purges",
    request_body(content((NewPurgeBody = "application/json"), (String = "text/csv", example = "conversationId,source\r\na1b2c3d4-e5f6-4890-abcd-ef1234567890,export\r\n"), (String = "application/x-ndjson", example = "{\"conversationId\": \"a1b2c3d4-e5f6-4890-abcd-ef1234567890\"}\n"))),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable ASCII characters. A repeat of the request with this key within 7 days gets the first answer again and does not make a second purge."),
        ("org" = Option<String>, Query, description = "Uploads only: the org."),
        ("reason" = Option<String>, Query, description = "Uploads only: why."),
        ("reference" = Option<String>, Query, description = "Uploads only: the caller's own name for it."),
        ("label" = Option<String>, Query, description = "Uploads only: `key:value`; may be repeated."),
        ("dryRun" = Option<bool>, Query, description = "Uploads only: only find out what would be purged."),
        ("permanentDelete" = Option<bool>, Query, description = "Uploads only: true or left out."),
        ("expectedCount" = Option<u64>, Query, description = "Uploads only: how many ids are sent, repeats included."),
        ("webhookUrl" = Option<String>, Query, description = "Uploads only: a webhook URL for the end of the purge and of each of its jobs."),
    ),
    responses(
        (status = 202, description = "Accepted.", body = AcceptedPurge, headers(("Location" = String, description = "Where to read it."), ("Idempotent-Replayed" = Option<String>, description = "`true` if this is the answer to a repeat."))),
        (status = 401, description = "`no_key`: send a valid key; also if it was revoked before the purge was accepted"),
        (status = 408, description = "`request_timeout`: the body stopped coming, or came too slowly (`intake.min_rate`) or took too long (`intake.upload_timeout`)"),
        (status = 400, description = "`invalid_json`, `invalid_query`, `invalid_idempotency_key`, `broken_body`"),
        (status = 403, description = "`missing_scope`, `no_org`"),
        (status = 413, description = "`body_too_large`, `too_many_ids`"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`invalid_request`, `invalid_lines`, `invalid_file`, `count_mismatch`, `idempotency_key_reused`, `not_supported_yet`"),
        (status = 429, description = "`too_many_purges`: this key reached `intake.purges_per_minute` or `intake.open_purges_per_key`; send it again after `Retry-After`"),
        (status = 503, description = "`unavailable`"),
        (status = 507, description = "`spool_full`"),
    )
)]
pub(in crate::api) async fn create_purge(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    key_id: KeyId,
    RequestId(request_id): RequestId,
    request: Request,
) -> Result<Response, Problem> {
    submit(&state, &caller, key_id, request_id, request).await
}

/// Accepts the purge that a request like that of [`create_purge`] brings, for a caller who may make some.
pub(crate) async fn submit(
    state: &ApiState,
    caller: &Caller,
    key_id: KeyId,
    request_id: String,
    request: Request,
) -> Result<Response, Problem> {
    let key = repeat::key(request.headers())?;
    // Before its body is read; a repeat of an accepted purge uses no quota.
    let is_known = match &key {
        Some(key) => state.store.is_known_repeat(key_id.0, key).await?,
        None => false,
    };
    let admitted = if is_known { None } else { Some(state.quotas.admit(&state.store, key_id).await?) };
    let answer = take(state, caller, key_id, request_id, key, request).await;
    // A wrong request was not accepted, and its cost was limited by its place.
    if let (Some(admitted), Err(problem)) = (admitted, &answer)
        && (400..500).contains(&problem.status)
    {
        state.quotas.give_back(admitted);
    }
    answer
}

/// Takes the body, checks everything, and accepts it.
async fn take(
    state: &ApiState,
    caller: &Caller,
    key_id: KeyId,
    request_id: String,
    key: Option<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (began, since) = ((state.hooks.clock)(), Instant::now());
    let traceparent = trace_context::of(request.headers()).map(|context| context.to_string());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (new, expected, spooled, _place) = match media_type(request.headers())?.as_deref() {
        Some("application/json") => {
            if let Some((name, _)) = form_urlencoded::parse(query.as_bytes()).next() {
                return Err(Problem::invalid_query(&name, "belongs in the JSON body"));
            }
            let JsonBody { value, place } =
                JsonBody::<NewPurgeBody>::read(request, state, &state.room.purges).await?;
            let (ids, fields) = value.split();
            let (new, expected) = fields.check(state, caller, key_id, request_id)?;
            (new, expected, check_list(ids, state.intake.max_ids)?, place)
        }
        Some("text/csv") => {
            let wish = Fields::from_query(&query)?.check(state, caller, key_id, request_id)?;
            upload(Format::Csv, state, wish, request).await?
        }
        Some("application/x-ndjson") => {
            let wish = Fields::from_query(&query)?.check(state, caller, key_id, request_id)?;
            upload(Format::Ndjson, state, wish, request).await?
        }
        _ => return Err(unsupported("application/json, text/csv or application/x-ndjson")),
    };
    check_count(&spooled, expected)?;
    let new = NewPurge { traceparent, ..new };
    let key = key.map(|key| repeat::bind(key, &new, expected, &spooled));
    let (purge, is_repeat) = accept(state, caller, &new, &spooled, key.as_ref()).await?;
    if !is_repeat {
        tracing::info!(purge = %purge.id, org = new.org, by = new.requested_by, "accepted a purge");
        let span = Span::new("POST /purges", began, since.elapsed()).with("org", new.org.clone());
        let span = span.with("request.id", new.request_id.clone());
        state.traces.request(purge.id, new.traceparent.as_deref(), span);
    }
    let location = [(header::LOCATION, format!("/purges/{}", purge.id))];
    let replayed = is_repeat.then_some([(repeat::REPLAYED, "true")]);
    let webhook_secret = match (purge.endpoint, &new.webhook) {
        (Some(id), _) if is_repeat => state.store.endpoint_secret(&caller.reach, id).await?,
        (_, webhook) => webhook.as_ref().map(|webhook| webhook.secret.expose_secret().to_owned()),
    };
    let accepted = AcceptedPurge { purge: purge.as_accepted().into(), webhook_secret };
    Ok((StatusCode::ACCEPTED, location, replayed, Json(accepted)).into_response())
}

/// Accepts the purge, or finds the one of its idempotency key, and returns which; a repeat waits here for the first
/// request, without holding a database connection.
async fn accept(
    state: &ApiState,
    caller: &Caller,
    new: &NewPurge,
    spooled: &Spooled,
    key: Option<&RepeatKey>,
) -> Result<(Purge, bool), Problem> {
    let until = Instant::now() + state.request_timeout;
    let mut pause = SHORTEST_PAUSE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match state.store.accept_purge(new, spooled, key, left).await? {
            Accepted::New(purge) => return Ok((*purge, false)),
            Accepted::Revoked => return Err(Problem::no_key()),
            Accepted::Before(Before::Repeated(id)) => {
                auth::check_again(&state.store, KeyId(new.key_id)).await?;
                return Ok((read(state, &caller.reach, id).await?, true));
            }
            Accepted::Before(Before::Misused) => {
                let detail =
                    "this Idempotency-Key was used with another request; use a new key for a new purge";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail));
            }
            Accepted::NotYet if left.is_zero() => {
                let detail =
                    "the first request with this Idempotency-Key is still under way; repeat it later";
                return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", detail));
            }
            Accepted::NotYet => {
                tokio::time::sleep(pause.min(left)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

impl NewPurgeBody {
    fn split(self) -> (SentIds, Fields) {
        let fields = Fields {
            org: self.org,
            reason: self.reason,
            reference: self.reference,
            is_dry_run: self.dry_run,
            is_permanent: self.permanent_delete,
            expected_count: self.expected_count,
            labels: self.labels,
            webhook_url: self.webhook_url,
        };
        (self.conversation_ids, fields)
    }
}

async fn upload(
    format: Format,
    state: &ApiState,
    (new, expected): (NewPurge, Option<u64>),
    request: Request,
) -> Result<(NewPurge, Option<u64>, Spooled, Option<Place>), Problem> {
    let limits = Limits { max_ids: state.intake.max_ids, ..Limits::default() };
    let place = state.room.uploads.take(KeyId(new.key_id), 1, state.request_timeout).await?;
    let body = incoming::upload(request, state)?;
    let spooled = intake::spool(format, body, &state.intake.spool_dir, limits).await?;
    Ok((new, expected, spooled, Some(place)))
}

fn check_list(ids: SentIds, max_ids: u64) -> Result<Spooled, Problem> {
    if u64::try_from(ids.sent()).is_ok_and(|sent| sent > max_ids) {
        let detail = format!("a purge may name at most {max_ids} conversations");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_ids", detail));
    }
    let mut errors = Vec::new();
    let ids = ids.check(&mut errors);
    if errors.is_empty() { Ok(Spooled::from_list(ids)) } else { Err(Problem::invalid(errors)) }
}

/// A list that was cut on its way deletes nothing.
fn check_count(spooled: &Spooled, expected: Option<u64>) -> Result<(), Problem> {
    let received = spooled.received();
    match expected {
        Some(expected) if expected != received => {
            let detail =
                format!("expectedCount is {expected}, but {received} ids were sent; nothing was accepted");
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "count_mismatch", detail))
        }
        _ => Ok(()),
    }
}
