//! `POST` and `GET /api/v2/analytics/conversations/purge`: a batch is submitted, its job is polled.
//!
//! Invariant: judging a batch and taking it on happen under one lock, so that no two submits share the last slot.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::Sandbox;
use super::super::batch::{self, Judgement};
use super::super::calls::Call;
use super::super::clock::seconds_until;
use super::super::jobs::UpstreamJob;
use super::super::line::Line;
use super::super::world::World;
use super::desk::{self, Worked};
use super::error::Refusal;
use super::{auth, details};

/// The longest that a full upstream tells a caller to wait; a slot may be free earlier than the first job's end says.
const LONGEST_WAIT: u32 = 30;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Submit {
    conversation_ids: Vec<String>,
    permanent_delete: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Submitted {
    job_id: Uuid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    job_id: Uuid,
    state: String,
    records_processed: u32,
}

/// The body `{"conversationIds": [...], "permanentDelete": true}`, taken on as a whole or rejected as a whole.
pub(super) async fn submit(
    State(sandbox): State<Arc<Sandbox>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    desk::serve(sandbox, line, Call::Submit, move |sandbox| {
        details::whole(body).and_then(|body| take_on(sandbox, &headers, &body)).unwrap_or_else(Worked::from)
    })
    .await
}

/// How far the job of an id is.
pub(super) async fn poll(
    State(sandbox): State<Arc<Sandbox>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    Path(job_id): Path<String>,
) -> Response {
    desk::serve(sandbox, line, Call::Poll, move |sandbox| {
        let job_id = Uuid::try_parse(&job_id).ok();
        Worked { ids: 0, job_id, answer: look_at(sandbox, &headers, job_id) }
    })
    .await
}

fn take_on(sandbox: &Sandbox, headers: &HeaderMap, body: &[u8]) -> Result<Worked, Refusal> {
    let now = sandbox.now();
    let mut world = sandbox.world();
    auth::admit(&mut world, headers, now)?;
    let submit: Submit =
        serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let ids = submit.conversation_ids.iter().map(|text| {
        details::conversation_id(text)
            .ok_or_else(|| Refusal::bad_request(format!("{text:.60} is not a conversation id.")))
    });
    let ids: Vec<Uuid> = ids.collect::<Result<_, _>>()?;
    if world.settings.poison_submit.is_some_and(|poison| ids.contains(&poison)) {
        let broken = Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal.error", "Something broke.");
        return Ok(Worked { ids: ids.len(), job_id: None, answer: Err(broken) });
    }
    let judgement = batch::judge(&mut world, &ids, submit.permanent_delete == Some(true), now);
    let job = indexes_of(judgement, &world, now).map(|indexes| {
        let world = &mut *world;
        world.jobs.submit(&indexes, now, &world.settings, &mut world.chance).id
    });
    Ok(Worked {
        ids: ids.len(),
        job_id: job.as_ref().ok().copied(),
        answer: job.map(|job_id| serde_json::to_vec(&Submitted { job_id }).unwrap_or_default()),
    })
}

/// The conversations of a sound batch, or how the answer to another one reads.
fn indexes_of(judgement: Judgement, world: &World, now: Timestamp) -> Result<Vec<u32>, Refusal> {
    let settings = &world.settings;
    Err(match judgement {
        Judgement::Sound(indexes) => return Ok(indexes),
        Judgement::Empty => Refusal::bad_request("A purge names at least one conversation."),
        Judgement::TooLarge => {
            let message = format!("A purge names {} conversations at the most.", settings.max_batch);
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "batch.too.large", message)
        }
        Judgement::NotPermanent => Refusal::bad_request("permanentDelete must be true."),
        Judgement::Duplicates(ids) => {
            Refusal::new(StatusCode::BAD_REQUEST, "duplicate.id", "Conversations are named twice.")
                .about(&ids)
        }
        Judgement::TooManyJobs => {
            let wait = world.jobs.next_end(now).map_or(1, |end| seconds_until(now, end)).min(LONGEST_WAIT);
            let limit = settings.max_concurrent_jobs;
            let message = format!("{limit} purge jobs run already. Retry the request in [{wait}] seconds");
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too.many.jobs", message).wait(wait, limit)
        }
        Judgement::Unknown(ids) => {
            Refusal::new(StatusCode::BAD_REQUEST, "unknown.conversation", "Conversations are not known.")
                .about(&ids)
        }
        Judgement::Protected(ids) => {
            let message = "Conversations of this purge are protected; none was deleted.";
            Refusal::new(StatusCode::CONFLICT, "conversation.protected", message).about(&ids)
        }
    })
}

fn look_at(sandbox: &Sandbox, headers: &HeaderMap, job_id: Option<Uuid>) -> Result<Vec<u8>, Refusal> {
    let now = sandbox.now();
    let mut world = sandbox.world();
    auth::admit(&mut world, headers, now)?;
    let varies = world.settings.vary_letter_case;
    let Some(job) = job_id.and_then(|id| world.jobs.poll(id, now)) else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "not.found", "There is no such purge job."));
    };
    let status = Status {
        job_id: job.id,
        state: if varies { varied(job, now) } else { job.stage(now).name().to_owned() },
        records_processed: job.records_processed(now),
    };
    Ok(serde_json::to_vec(&status).unwrap_or_default())
}

/// The state in a letter case that turns with every poll.
fn varied(job: &UpstreamJob, now: Timestamp) -> String {
    let name = job.stage(now).name();
    match job.polls % 4 {
        0 => name.to_uppercase(),
        1 => name.to_owned(),
        2 => name[..1].to_uppercase() + &name[1..],
        _ => name.to_lowercase(),
    }
}
