//! The checks of the tables after each step.

use std::collections::{BTreeMap, BTreeSet};

use genesys_purge::domain::outcome::{Cell, Marks, Outcome};
use uuid::Uuid;

use super::truth::Kind;
use super::walk::{Named, Walk};
use crate::support::books::assert_running_books;

/// What may follow a state within one step. A cancel may find nothing open, so that its purge is final at once.
const PURGE_STATES: &[(&str, &[&str])] = &[
    ("queued", &["running", "paused", "canceling", "canceled"]),
    ("running", &["paused", "canceling", "completed", "failed", "canceled"]),
    ("paused", &["queued", "running", "canceling", "completed", "failed", "canceled"]),
    ("canceling", &["canceled"]),
    ("failed", &["running"]),
];
const SLICE_STATES: &[(&str, &[&str])] = &[
    ("queued", &["validating", "ready", "settled"]),
    ("validating", &["queued", "ready", "settled"]),
    ("ready", &["queued", "settled"]),
    ("settled", &["queued"]),
];
const JOB_STATES: &[(&str, &[&str])] = &[
    ("new", &["waiting"]),
    ("waiting", &["submitting", "done"]),
    ("submitting", &["submitted", "waiting", "in_doubt", "done"]),
    ("in_doubt", &["waiting", "done"]),
    ("submitted", &["verifying"]),
    ("verifying", &["done"]),
];

#[derive(Debug)]
pub struct SeenPurge {
    pub state: String,
    slice: String,
    pub ids: Vec<Uuid>,
    pub cells: Vec<Cell>,
    /// What has failed is to be taken up again.
    is_retried: bool,
}

#[derive(Debug)]
struct SeenJob {
    state: String,
    /// It has let go of what it knows the fate of.
    is_late: bool,
    takes_slot: bool,
    ids: Vec<Uuid>,
    reserved: Vec<Uuid>,
}

/// The tables after a step.
#[derive(Debug, Default)]
pub struct Seen {
    pub purges: BTreeMap<Uuid, SeenPurge>,
    jobs: BTreeMap<Uuid, SeenJob>,
}

/// Something is called kept, though one of our jobs has deleted it or may yet: `gone_late` is to be told of it then.
#[derive(Debug)]
pub struct Suspicion {
    pub purge: Uuid,
    pub id: Uuid,
    /// Who deleted it, or may.
    pub jobs: BTreeSet<Uuid>,
    pub what: String,
}

impl Walk<'_> {
    pub async fn check(&mut self, after: &str) {
        self.tally.steps += 1;
        self.truth.settle();
        let now = self.look_through().await;
        self.states_follow(&now, after);
        self.jobs_are_sound(&now, after);
        self.outcomes_stay(&now, after);
        self.seen = now;
        assert_running_books(&mut self.ground.connection).await;
    }

    async fn look_through(&mut self) -> Seen {
        type PurgeRow = (Uuid, String, String, Vec<Uuid>, Vec<u8>, bool);
        type JobRow = (Uuid, String, bool, bool, Vec<Uuid>, Vec<Uuid>);
        let connection = &mut self.ground.connection;
        let purges: Vec<PurgeRow> = sqlx::query_as(
            "select p.id, p.state::text, s.state::text, s.ids, s.outcomes, p.retry_from is not null
             from purges p join slices s on s.purge_id = p.id",
        )
        .fetch_all(&mut *connection)
        .await
        .unwrap();
        let jobs: Vec<JobRow> = sqlx::query_as(
            "select id, state::text, next_step is not distinct from 'late', takes_slot, coalesce(ids, '{}'),
                    array(select conversation_id from reservations where job_id = j.id)
             from jobs j",
        )
        .fetch_all(connection)
        .await
        .unwrap();
        let of_purge = |(id, state, slice, ids, bytes, is_retried): (_, _, _, _, Vec<u8>, _)| {
            (id, SeenPurge { state, slice, ids, cells: Cell::read(&bytes).unwrap(), is_retried })
        };
        let of_job = |(id, state, is_late, takes_slot, ids, reserved)| {
            (id, SeenJob { state, is_late, takes_slot, ids, reserved })
        };
        Seen {
            purges: purges.into_iter().map(of_purge).collect(),
            jobs: jobs.into_iter().map(of_job).collect(),
        }
    }

    fn states_follow(&self, now: &Seen, after: &str) {
        let follows = |table: &[(&str, &[&str])], what: &str, from: &str, to: &str| {
            let may = table.iter().any(|(state, followers)| *state == from && followers.contains(&to));
            assert!(from == to || may, "{after}: {what} goes from {from} to {to}");
        };
        for (id, purge) in &now.purges {
            let Some(before) = self.seen.purges.get(id) else { continue };
            follows(PURGE_STATES, "a purge", &before.state, &purge.state);
            follows(SLICE_STATES, "a slice", &before.slice, &purge.slice);
        }
        for (id, job) in &now.jobs {
            let before = self.seen.jobs.get(id).map_or("new", |job| &job.state);
            follows(JOB_STATES, "a job", before, &job.state);
        }
        for purge in &self.purges {
            let state = now.purges[&purge.id].state.as_str();
            let is_final = ["completed", "failed", "canceled"].contains(&state);
            let fits = match purge {
                _ if purge.is_canceled => ["canceling", "canceled"].contains(&state),
                _ if purge.is_paused => state == "paused" || is_final,
                _ => !["paused", "canceling", "canceled"].contains(&state),
            };
            assert!(fits, "{after}: {state}, though the acts have made it {purge:?}");
        }
    }

    /// No id is in two unfinished jobs, and no more upstream jobs are live than there are slots.
    fn jobs_are_sound(&self, now: &Seen, after: &str) {
        let mut carrying = BTreeMap::new();
        for (id, job) in now.jobs.iter().filter(|(_, job)| job.state != "done") {
            let carried = if job.is_late { &job.reserved } else { &job.ids };
            for conversation in carried {
                assert!(
                    job.reserved.contains(conversation),
                    "{after}: job {id} has not reserved {conversation}"
                );
                let other = carrying.insert(*conversation, *id);
                assert_eq!(other, None, "{after}: {conversation} is in job {id}, too");
            }
        }
        let taken = now.jobs.values().filter(|job| job.takes_slot).count();
        assert!(taken <= self.org.slots, "{after}: {taken} jobs take one of {} slots", self.org.slots);
        let marked = now.purges.values().flat_map(|purge| &purge.cells);
        let marked = marked.filter(|cell| cell.marks.has(Marks::RESERVED)).count();
        let reserved: usize = now.jobs.values().map(|job| job.reserved.len()).sum();
        assert_eq!(marked, reserved, "{after}: marks and reservations");
    }

    /// What is final stays, but for what a retry takes up; what becomes final is compared with the truth.
    fn outcomes_stay(&mut self, now: &Seen, after: &str) {
        for purge in &self.purges {
            let seen = &now.purges[&purge.id];
            let before = self.seen.purges.get(&purge.id);
            for (at, (id, cell)) in seen.ids.iter().zip(&seen.cells).enumerate() {
                let from = before.map_or(Outcome::Pending, |before| before.cells[at].outcome);
                let to = cell.outcome;
                if from == to {
                    continue;
                }
                let is_retried = before.is_some_and(|before| before.is_retried);
                let is_retry = is_retried && (from, to) == (Outcome::Failed, Outcome::Pending);
                assert!(!from.is_final() || is_retry, "{after}: {id} of {purge:?} goes from {from} to {to}");
                // Others may delete it later: what is true in the end need not have been when it was said.
                let kind = self.truth.kinds[id];
                let is_so = match to {
                    Outcome::Purged | Outcome::AlreadyPurged => kind == Kind::Gone,
                    Outcome::NotFound => matches!(kind, Kind::Gone | Kind::Unknown),
                    _ => true,
                };
                assert!(is_so, "{after}: {id} of {purge:?} is {to}, and it is {kind:?}");
                let is_dry = matches!(to, Outcome::Submitted | Outcome::Purged) && purge.is_dry_run;
                assert!(!is_dry, "{after}: {id} of a dry run is {to}");
                let of_own = |named: &&Named| (named.purge, named.id) == (purge.id, *id);
                let own: BTreeSet<Uuid> = self.named.iter().filter(of_own).map(|named| named.job).collect();
                let mut jobs: BTreeSet<Uuid> = self.truth.deleted.get(id).copied().into_iter().collect();
                jobs.extend(self.truth.may_delete(*id).map(|live| live.job));
                if to == Outcome::Canceled {
                    jobs.retain(|job| own.contains(job));
                }
                if (to.keeps() || to == Outcome::Canceled) && !purge.is_dry_run && !jobs.is_empty() {
                    let what = format!("{after}: {id} of {purge:?} is {to}");
                    self.suspicions.push(Suspicion { purge: purge.id, id: *id, jobs, what });
                }
            }
        }
    }
}
