//! The event of an upstream job that ended: once for the operator, and once for each purge that it carried.

use jiff::Timestamp;
use uuid::Uuid;

use super::lease::LockedJob;
use crate::domain::events::{EventType, JobCompleted, latency};
use crate::domain::outcome::Outcome;
use crate::store::deliveries::owe::{Audience, Message, payload};
use crate::store::events::{Actor, NewEvent, OfPurge, write, write_for_purges};
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// The results of a purge's conversations in a job.
pub(super) struct Share {
    pub(super) purge: Uuid,
    /// How many were seen to be gone.
    pub(super) gone: i64,
}

/// How upstream ended a job.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) is_completed: bool,
    pub(super) state: &'a str,
    pub(super) records_processed: Option<i64>,
}

/// The events of purges whose conversations in the job are settled; none if the job's end is unknown.
pub(super) fn of_purges(
    job: &LockedJob,
    now: Timestamp,
    purge_count: usize,
    shares: Vec<Share>,
) -> Result<Vec<OfPurge>, StoreError> {
    let Some((ended_at, is_completed)) = job.ended_at.zip(job.upstream_succeeded) else {
        return Ok(Vec::new());
    };
    let event = |Share { purge, gone }: Share| {
        let purge_id = Some(purge);
        let body = JobCompleted {
            records_processed: gone,
            purge_id,
            ..completed(job, ended_at, is_completed, (now, purge_count))
        };
        Ok(OfPurge {
            purge,
            event: EventType::PurgeJobCompleted,
            job: Some(job.id),
            payload: payload(&body)?,
            webhook: Some(Message::new(&body, Audience::Endpoints)?),
        })
    };
    shares.into_iter().map(event).collect()
}

fn completed(
    job: &LockedJob,
    ended_at: Timestamp,
    is_completed: bool,
    (now, purge_count): (Timestamp, usize),
) -> JobCompleted {
    let took = ended_at.duration_since(job.submitted_at.unwrap_or(ended_at));
    JobCompleted {
        event: EventType::PurgeJobCompleted,
        job_id: job.upstream_job_id.clone().unwrap_or_default(),
        state: if is_completed { "completed" } else { "failed" },
        records_processed: 0,
        latency_seconds: latency(took.as_secs_f64()),
        timestamp: now,
        purge_count,
        purge_id: None,
    }
}

/// Tells of the end: the operator at once, and purges whose conversations in the job were settled before.
pub(super) async fn tell(
    store: &Store,
    tx: &mut Tx,
    org: &str,
    job: &LockedJob,
    now: Timestamp,
    ending: Ending<'_>,
) -> Result<(), StoreError> {
    let carried = carried(tx, job.id).await?;
    let purge_count = carried.len();
    let body = JobCompleted {
        records_processed: ending.records_processed.unwrap_or_default(),
        purge_id: carried.first().filter(|_| purge_count == 1).map(|carried| carried.share.purge),
        ..completed(job, now, ending.is_completed, (now, purge_count))
    };
    let event = NewEvent {
        event: EventType::PurgeJobCompleted,
        org: Some(org),
        job: Some(job.id),
        hold: None,
        payload: payload(&body)?,
        webhook: Some(Message::new(&body, Audience::Operator)?),
    };
    write(store, tx, now, Actor::ENGINE, event).await?;
    let settled = carried.into_iter().filter(|carried| carried.open == 0).map(|carried| carried.share);
    let job = LockedJob { ended_at: Some(now), upstream_succeeded: Some(ending.is_completed), ..job.clone() };
    let settled = of_purges(&job, now, purge_count, settled.collect())?;
    write_for_purges(store, tx, Actor::ENGINE, settled).await
}

/// The conversations of a purge in a job.
struct Carried {
    share: Share,
    /// How many are not settled.
    open: i64,
}

/// By the committed slices: no other worker settles conversations of a leased job.
async fn carried(tx: &mut Tx, job: Uuid) -> Result<Vec<Carried>, StoreError> {
    let rows = sqlx::query!(
        r#"-- carried_by_job
        select p.purge_id, count(*) filter (where byte & 15 = $2) as "gone!",
               count(*) filter (where byte is null or byte & 15 = $3) as "open!"
        from job_parts p
        join slices s on (s.purge_id, s.slice_no) = (p.purge_id, p.slice_no)
        cross join unnest(p.positions) as at (position)
        cross join lateral (
            select case when position between 0 and octet_length(s.outcomes) - 1
                        then get_byte(s.outcomes, position) end as byte
        ) cell
        where p.job_id = $1
        group by p.purge_id
        order by p.purge_id"#,
        job,
        i32::from(Outcome::Purged.code()),
        i32::from(Outcome::Submitted.code())
    )
    .all(tx)
    .await?;
    let carried = rows
        .into_iter()
        .map(|row| Carried { share: Share { purge: row.purge_id, gone: row.gone }, open: row.open });
    Ok(carried.collect())
}
