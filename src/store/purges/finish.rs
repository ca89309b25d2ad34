//! The end of a purge: the one place where it becomes final, in the transaction that settled its last conversation.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use uuid::Uuid;

use crate::domain::counts::{Counts, Tally};
use crate::domain::events::{EventType, PurgeFinished};
use crate::domain::state::PurgeState;
use crate::store::deliveries::owe::{Audience, Message, payload};
use crate::store::events::{Actor, OfPurge, write_for_purges};
use crate::store::purges::load::counts_of;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// Ends those of the purges, whose rows are locked, that have nothing open, and nothing that can't be read.
pub(in crate::store) async fn finish(
    store: &Store,
    tx: &mut Tx,
    now: Timestamp,
    purges: &[Uuid],
) -> Result<(), StoreError> {
    if purges.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        r#"-- load_ended_purges
        select id, state as "state: PurgeState", run, org, reference, started_at, duplicates, pending, eligible, submitted, purged,
               already_purged, on_hold, retained, not_found, active, failed, canceled, would_purge, labels, dry_run
        from purges
        where id = any($1) and finished_at is null and pending + eligible + submitted = 0 and retry_from is null
          and not exists (select from slices_set_aside where purge_id = purges.id)
        order by id"#,
        purges
    )
    .all(tx)
    .await?;
    let (mut ids, mut states, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let counts = counts_of!(row);
        let state: PurgeState = row.state;
        let Some(ended) = counts.final_state(state) else { continue };
        let Some(event) = EventType::of_final(ended) else { continue };
        let body = PurgeFinished {
            event,
            purge_id: row.id,
            run: row.run,
            org: row.org,
            reference: row.reference,
            labels: row.labels,
            dry_run: row.dry_run,
            counts: Tally::new(&counts, row.duplicates),
            started_at: row.started_at.map(SqlTimestamp::to_jiff),
            finished_at: now,
            timestamp: now,
        };
        let webhook = Some(Message::new(&body, Audience::All)?);
        let payload = payload(&body)?;
        tx.will_tell(Ended {
            run: body.run,
            org: body.org,
            state: ended,
            is_dry: body.dry_run,
            counts,
            purge: row.id,
            began: body.started_at,
            now,
        });
        ids.push(row.id);
        states.push(ended.to_string());
        events.push(OfPurge { purge: row.id, event, job: None, payload, webhook });
    }
    mark(tx, now, &ids, &states).await?;
    write_for_purges(store, tx, Actor::ENGINE, events).await
}

/// A purge that ended, for the log.
#[derive(Debug)]
pub(in crate::store) struct Ended {
    purge: Uuid,
    org: String,
    state: PurgeState,
    run: i32,
    is_dry: bool,
    counts: Counts,
    /// Nothing was begun where it is none.
    began: Option<Timestamp>,
    now: Timestamp,
}

impl Ended {
    /// Tells of it: once, by the process whose transaction ended it, after its commit.
    pub(in crate::store) fn log(&self) {
        let Self { purge, org, state, .. } = self;
        let run = (self.run > 1).then_some(self.run);
        let seconds = self.began.map(|began| self.now.duration_since(began).as_secs_f64());
        let seconds = seconds.map(|seconds| (seconds * 100.0).round() / 100.0);
        let dry_run = self.is_dry.then_some(true);
        let (total, counts) = (self.counts.total(), self.counts.to_string());
        if *state == PurgeState::Failed {
            tracing::warn!(%purge, org, %state, run, dry_run, total, counts, seconds, "purge ended");
        } else {
            tracing::info!(%purge, org, %state, run, dry_run, total, counts, seconds, "purge ended");
        }
    }
}

async fn mark(tx: &mut Tx, now: Timestamp, ids: &[Uuid], states: &[String]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- finish_purges
        update purges p set state = ended.state::purge_state, finished_at = $3
        from unnest($1::uuid[], $2::text[]) as ended (id, state)
        where p.id = ended.id",
        ids,
        states,
        now.to_sqlx() as _
    )
    .exactly(tx, ids.len())
    .await
}
