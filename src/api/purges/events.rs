//! `GET /purges/{id}/events`: its history, page by page or live.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Version, header};
use axum::response::{IntoResponse as _, Response};

use super::follow;
use super::history::EventBody;
use super::unknown;
use crate::api::auth::Authorized;
use crate::api::extract::{PathId, Query};
use crate::api::key_id::KeyId;
use crate::api::negotiate;
use crate::api::page::{self, Page, WhichPage};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::api::stream::{self, EVENT_STREAM};

/// The forms that there are.
const FORMS: &[&str] = &["application/json", "application/problem+json", EVENT_STREAM];

/// Read the history of a purge, oldest first.
///
/// With `Accept: text/event-stream` it is streamed live (Server-Sent Events), the whole history first, and `limit` and
/// `cursor` are refused. Each event is a message whose `id` is its `eventNo`, whose `event` is its `type`, and whose
/// data are those of a page. Messages without an `id` show the current state: `counts` (`state`, `run` and `counts`;
/// at most twice a second, if something changed), and `job` (one of its jobs whose state changed, as in `GET
/// /purges/{id}/jobs`; states that last less than half a second may be left out). When the purge is final and all
/// events were sent, `end` comes, with the data of `counts`, and the stream ends. A client that reconnects with
/// `Last-Event-ID` misses no event; if nothing more will come, it gets 204 and should not reconnect.
#[utoipa::path(
    get, path = "/purges/{id}/events", tag = "purges",
    params(
        ("id" = uuid::Uuid, Path, description = "The purge."),
        WhichPage,
        ("Last-Event-ID" = Option<String>, Header, description = "Streams only: the `id` of the last event that the client has."),
    ),
    responses(
        (status = 200, description = "A page of events, or a stream of all of them.", content(
            (Page<EventBody> = "application/json"),
            (String = "text/event-stream", example = json!(
                "id: 2\nevent: purge_started\ndata: {\"eventNo\":2, ...}\n\nevent: counts\ndata: {\"state\":\"running\", ...}\n\n"
            )),
        )),
        (status = 204, description = "Streams only: the purge is final, and `Last-Event-ID` is its last event."),
        (status = 400, description = "`invalid_query`, `invalid_header`: `Last-Event-ID` is not an `eventNo` of this purge"),
        (status = 404, description = "`not_found`"),
        (status = 406, description = "`not_acceptable`"),
        (status = 503, description = "`unavailable`; also if too many streams are open, with this key or in total"),
    )
)]
pub(in crate::api) async fn events(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    key: KeyId,
    PathId(id): PathId,
    version: Version,
    headers: HeaderMap,
    Query(wanted): Query<WhichPage>,
) -> Result<Response, Problem> {
    match negotiate::best(&headers, FORMS) {
        None => return Err(negotiate::not_acceptable(FORMS)),
        Some(EVENT_STREAM) => {
            let paged = wanted.limit.map(|_| "limit").or(wanted.cursor.map(|_| "cursor"));
            if let Some(name) = paged {
                return Err(Problem::invalid_query(name, "is for pages; a stream has everything"));
            }
            let number = |text: &str| text.parse().ok().filter(|number| *number >= 0);
            let after = stream::last_event_id(&headers)?.map(|text| {
                number(text).ok_or_else(|| stream::wrong_last_event_id("is not the eventNo of an event"))
            });
            return follow::follow(&state, (key, caller.reach), version, id, after.transpose()?).await;
        }
        Some(_) => {}
    }
    let limit = page::limit(wanted.limit);
    let list = format!("events/{id}");
    let after = page::after(&list, wanted.cursor.as_deref())?.unwrap_or_default();
    let rows = state.store.events_of(&caller.reach, id, after, page::fetched(limit)).await?;
    let mut rows = rows.ok_or_else(unknown)?;
    let next_cursor = page::cut(&list, &mut rows, limit, |row| row.event_no);
    let items = rows.into_iter().map(EventBody::from).collect();
    Ok(([(header::VARY, "Accept")], Json(Page { items, next_cursor })).into_response())
}
