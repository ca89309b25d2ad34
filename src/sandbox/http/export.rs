//! Streams of the whole population: an export as a reporting tool writes it, and the expected outcomes.
//!
//! Invariant: a page at a time: no stream holds more than a page, and none holds the lock between pages.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use super::super::Sandbox;
use super::super::kinds::Kind;
use super::super::population::Population;
use super::super::portrait;
use super::super::truth::ExpectedOutcome;
use super::super::world::World;
use super::error::Refusal;

const PAGE: u32 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Csv,
    Ndjson,
}

/// What is to be exported, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    format: Option<Format>,
    /// Only conversations of this kind.
    kind: Option<Kind>,
}

/// Every id with its media type: as CSV (the default) or NDJSON.
pub(super) async fn conversations(
    State(sandbox): State<Arc<Sandbox>>,
    query: Result<Query<ExportQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(ExportQuery { format, kind }) =
        query.map_err(|rejection| Refusal::bad_request(rejection.body_text()))?;
    let format = format.unwrap_or(Format::Csv);
    let wanted = move |world: &World, index| kind.is_none_or(|kind| world.kind(index) == kind);
    let line = move |out: &mut String, world: &World, index| {
        let (id, media) = (world.population.id(index), portrait::media(world.population.grain(index)));
        let written = match format {
            _ if !wanted(world, index) => Ok(()),
            Format::Csv => writeln!(out, "{id},{media}"),
            Format::Ndjson => {
                writeln!(out, "{{\"conversationId\":\"{id}\",\"mediaType\":\"{media}\"}}")
            }
        };
        written.unwrap_or_default();
    };
    Ok(match format {
        Format::Csv => {
            let head = "conversationId,mediaType\n".to_owned();
            ([(CONTENT_TYPE, "text/csv")], paged(sandbox, head, line)).into_response()
        }
        Format::Ndjson => ndjson(paged(sandbox, String::new(), line)),
    })
}

/// What a purge of all ids must report of each.
pub(super) async fn outcomes(State(sandbox): State<Arc<Sandbox>>) -> Response {
    let line = |out: &mut String, world: &World, index| {
        let outcome = ExpectedOutcome {
            conversation_id: world.population.id(index),
            expected_outcome: world.kind(index).expected(),
        };
        out.push_str(&serde_json::to_string(&outcome).unwrap_or_default());
        out.push('\n');
    };
    ndjson(paged(sandbox, String::new(), line))
}

fn ndjson(body: Body) -> Response {
    ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// Where a stream stands.
struct Progress<L> {
    sandbox: Arc<Sandbox>,
    population: Arc<Population>,
    next: u32,
    head: String,
    line: L,
}

fn paged<L>(sandbox: Arc<Sandbox>, head: String, line: L) -> Body
where
    L: Fn(&mut String, &World, u32) + Send + 'static,
{
    let population = sandbox.population();
    let start = Progress { sandbox, population, next: 0, head, line };
    Body::from_stream(stream::unfold(start, |mut progress| async move {
        let mut page = std::mem::take(&mut progress.head);
        let end = progress.next.saturating_add(PAGE).min(progress.population.size());
        {
            let world = progress.sandbox.world();
            // Another population in the middle of a stream ends it: its ids would belong to neither.
            if !Arc::ptr_eq(&world.population, &progress.population) {
                return None;
            }
            for index in progress.next..end {
                (progress.line)(&mut page, &world, index);
            }
        }
        let is_done = page.is_empty() && progress.next == end;
        progress.next = end;
        (!is_done).then_some((Ok::<_, Infallible>(page), progress))
    }))
}
