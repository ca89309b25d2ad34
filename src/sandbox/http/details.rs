//! `POST /api/v2/analytics/conversations/details/query`: what is known of some conversations.
//!
//! Invariant: the query is read strictly; a caller that gets by here gets by upstream.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::super::Sandbox;
use super::super::calls::Call;
use super::super::line::Line;
use super::super::portrait::{End, HoldMark, Portrait};
use super::auth;
use super::desk::{self, Worked};
use super::error::Refusal;

#[derive(Deserialize)]
struct Query<'a> {
    #[serde(borrow)]
    query: Cow<'a, str>,
    #[serde(borrow)]
    view: Cow<'a, str>,
}

#[derive(Serialize)]
struct Answer {
    data: Vec<Record>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    conversation_id: Uuid,
    conversation_status: &'static str,
    conversation_start: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_end: Option<Value>,
    media_type: &'static str,
    queue_ids: [Uuid; 1],
    division_ids: [Uuid; 1],
    wrap_up_codes: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_attributes: Option<CustomAttributes>,
}

#[derive(Serialize)]
struct CustomAttributes {
    legal_hold: Value,
}

/// The body `{"query": "conversationId IN (\"id\",\"id\")", "view": "default"}`.
pub(super) async fn query(
    State(sandbox): State<Arc<Sandbox>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    desk::serve(sandbox, line, Call::Details, move |sandbox| {
        whole(body).and_then(|body| look_up(sandbox, &headers, &body)).unwrap_or_else(Worked::from)
    })
    .await
}

fn look_up(sandbox: &Sandbox, headers: &HeaderMap, body: &[u8]) -> Result<Worked, Refusal> {
    let now = sandbox.now();
    let max = {
        let mut world = sandbox.world();
        auth::admit(&mut world, headers, now)?;
        world.settings.max_details as usize
    };
    let query: Query<'_> =
        serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))?;
    if query.view != "default" {
        return Err(Refusal::bad_request("The only view is \"default\"."));
    }
    let ids = ids_of(&query.query).map_err(Refusal::bad_request)?;
    if ids.len() > max {
        let message = format!("A query names {max} conversations at the most, not {}.", ids.len());
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "query.too.large", message));
    }
    let shown = sandbox.world().look_up(&ids, now, sandbox.born);
    let data = shown.into_iter().map(Record::from).collect();
    Ok(Worked {
        ids: ids.len(),
        job_id: None,
        answer: Ok(serde_json::to_vec(&Answer { data }).unwrap_or_default()),
    })
}

/// The ids of `conversationId IN ("id","id")`, or what is wrong with it.
fn ids_of(query: &str) -> Result<Vec<Uuid>, String> {
    let list = query
        .strip_prefix("conversationId IN (")
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or("The query must read: conversationId IN (\"id\",\"id\").")?;
    let mut ids = Vec::with_capacity(list.len() / 39 + 1);
    let mut seen = HashSet::with_capacity(ids.capacity());
    for quoted in list.split(',') {
        let id = quoted
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .and_then(conversation_id)
            .ok_or_else(|| format!("{quoted:.60} is not a conversation id in double quotes."))?;
        if !seen.insert(id) {
            return Err(format!("{id} is named twice."));
        }
        ids.push(id);
    }
    Ok(ids)
}

/// An id as Genesys writes it: a UUID with hyphens, and in no other way that UUIDs are written.
pub(super) fn conversation_id(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

/// The body, if all of it could be read.
pub(super) fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "request.entity.too.large", "The body is too large.")
        }
        _ => Refusal::bad_request("The body could not be read."),
    })
}

impl From<(Uuid, Portrait)> for Record {
    fn from((conversation_id, portrait): (Uuid, Portrait)) -> Self {
        Self {
            conversation_id,
            conversation_status: portrait.status,
            conversation_start: portrait.start,
            conversation_end: match portrait.end {
                End::Missing => None,
                End::Null => Some(Value::Null),
                End::At(at) => Some(Value::String(at.to_string())),
                End::Garbage(text) => Some(Value::from(text)),
            },
            media_type: portrait.media,
            queue_ids: [portrait.queue],
            division_ids: [portrait.division],
            wrap_up_codes: [portrait.wrap_up],
            custom_attributes: match portrait.hold {
                HoldMark::Missing => None,
                HoldMark::False => Some(Value::Bool(false)),
                HoldMark::True => Some(Value::Bool(true)),
                HoldMark::TrueAsText => Some(Value::from("true")),
            }
            .map(|legal_hold| CustomAttributes { legal_hold }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "a1b2c3d4-e5f6-4890-abcd-ef1234567890";
    const B: &str = "b2c3d4e5-f6a7-4901-bcde-f12345678901";

    #[test]
    fn a_query_is_read_as_described_and_in_no_other_way() {
        let ids = |query: &str| ids_of(query).map(|ids| ids.len()).map_err(|error| error.len());
        assert_eq!(ids(&format!("conversationId IN (\"{A}\")")), Ok(1));
        assert_eq!(ids(&format!("conversationId IN (\"{A}\",\"{B}\")")), Ok(2));
        for bad in [
            String::new(),
            "conversationId IN ()".to_owned(),
            format!("conversationId IN ({A})"),
            format!("conversationId IN ('{A}')"),
            format!("conversationId IN (\"{A}\", \"{B}\")"),
            format!("conversationId IN (\"{A}\",)"),
            format!("conversationId IN (\"{A}\",\"{A}\")"),
            format!("conversationId IN (\"{A}\") OR 1=1"),
            format!("conversationid in (\"{A}\")"),
            format!("conversationId IN (\"{}\")", A.replace('-', "")),
            format!("conversationId IN (\"{{{A}}}\")"),
        ] {
            assert!(ids(&bad).is_err(), "{bad}");
        }
    }
}
