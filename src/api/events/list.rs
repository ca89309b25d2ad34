//! `GET /events`: the feed, page by page or live.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Version, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::FeedEventBody;
use super::{follow, since};
use crate::api::auth::Authorized;
use crate::api::extract::Query;
use crate::api::key_id::KeyId;
use crate::api::negotiate;
use crate::api::page::{self, Page};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::api::stream::{self, EVENT_STREAM};
use crate::domain::keys::Reach;

/// The forms that there are.
const FORMS: &[&str] = &["application/json", "application/problem+json", EVENT_STREAM];

/// The name of the list in cursors.
const LIST: &str = "events";

/// Where to start, and which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct FeedPage {
    /// Only events after this one, by its `no`; 0 or left out for all. Or a time (RFC 3339): all events of that time
    /// and later, including those that began before and were committed after it; a few earlier ones may be included.
    since: Option<String>,
    /// Rows per page, 1 to 1000.
    #[serde(default, deserialize_with = "page::limit_of")]
    limit: Option<usize>,
    /// The `nextCursor` of the page before; goes before `since`.
    cursor: Option<String>,
}

/// List all events, in the order of their commits and without gaps.
///
/// To catch up, ask for the events since the last `no` that you saw, page by page until a page has no `nextCursor`, and
/// continue later from the last `no`. No event that is committed later gets a lower number. Events are kept as long as
/// the history. Keys that are limited to orgs do not see events of no org or of several.
///
/// With `Accept: text/event-stream` events are streamed live (Server-Sent Events), and `limit` and `cursor` are
/// refused. Each is a message whose `id` is its `no`, whose `event` is its `type`, and whose data are those of a page.
/// A stream starts after `Last-Event-ID`, else after `since`, else now, and misses nothing from there on.
#[utoipa::path(
    get, path = "/events", tag = "events",
    params(
        FeedPage,
        ("Last-Event-ID" = Option<String>, Header, description = "Streams only: the `id` of the last event that the client has."),
    ),
    responses(
        (status = 200, description = "A page of events, or a stream of all of them.", content(
            (Page<FeedEventBody> = "application/json"),
            (String = "text/event-stream", example = json!(
                "id: 4711\nevent: purge_paused\ndata: {\"no\":4711, ...}\n\n"
            )),
        )),
        (status = 400, description = "`invalid_query`, `invalid_header`; also if a number is higher than that of any event"),
        (status = 406, description = "`not_acceptable`"),
        (status = 503, description = "`unavailable`; also if too many streams are open, with this key or in total"),
    )
)]
pub(in crate::api) async fn list_events(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    key: KeyId,
    version: Version,
    headers: HeaderMap,
    Query(wanted): Query<FeedPage>,
) -> Result<Response, Problem> {
    match negotiate::best(&headers, FORMS) {
        None => Err(negotiate::not_acceptable(FORMS)),
        Some(EVENT_STREAM) => {
            let after = begin(&state, &headers, &wanted).await?;
            follow::follow(&state, (key, caller.reach), version, after).await
        }
        Some(_) => page(&state, &caller.reach, &wanted).await,
    }
}

async fn page(state: &ApiState, reach: &Reach, wanted: &FeedPage) -> Result<Response, Problem> {
    let limit = page::limit(wanted.limit);
    let after = match (page::after(LIST, wanted.cursor.as_deref())?, &wanted.since) {
        (Some(after), _) => after,
        (None, Some(since)) => since::after(&state.store, since).await?,
        (None, None) => 0,
    };
    let mut rows = state.store.feed(reach, after, page::fetched(limit)).await?;
    if rows.is_empty() && !since::is_given(after, state.store.feed_end().await?) {
        return Err(Problem::invalid_query("since", since::NOT_GIVEN));
    }
    let next_cursor = page::cut(LIST, &mut rows, limit, |row| row.no);
    let items = rows.into_iter().map(FeedEventBody::from).collect();
    Ok(([(header::VARY, "Accept")], Json(Page { items, next_cursor })).into_response())
}

/// The number after which a stream starts.
async fn begin(state: &ApiState, headers: &HeaderMap, wanted: &FeedPage) -> Result<i64, Problem> {
    let paged = wanted.limit.map(|_| "limit").or(wanted.cursor.as_ref().map(|_| "cursor"));
    if let Some(name) = paged {
        return Err(Problem::invalid_query(name, "is for pages; a stream has everything"));
    }
    let last = stream::last_event_id(headers)?;
    let after = match (last, &wanted.since) {
        (Some(last), _) => {
            let number = last.parse().ok().filter(|number| *number >= 0);
            number.ok_or_else(|| stream::wrong_last_event_id("is not the `no` of an event"))?
        }
        (None, Some(since)) => since::after(&state.store, since).await?,
        (None, None) => return Ok(state.store.feed_end().await?),
    };
    match (since::is_given(after, state.store.feed_end().await?), last) {
        (true, _) => Ok(after),
        (false, Some(_)) => Err(stream::wrong_last_event_id(since::NOT_GIVEN)),
        (false, None) => Err(Problem::invalid_query("since", since::NOT_GIVEN)),
    }
}
