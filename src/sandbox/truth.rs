//! What is really so: the answers against which a caller of the sandbox can check its own.
//!
//! Invariant: the truth is read, never kept: it follows from the population, the jobs and the clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::breaches::{Breach, Rule};
use super::calls::{Call, CallEntry};
use super::kinds::{Expected, Kind};
use super::portrait::{self, End};
use super::world::World;

/// The sandbox's conversations in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Truth {
    /// How many conversations there are.
    pub conversations: u32,
    /// How many of each kind, by now.
    pub kinds: BTreeMap<Kind, u32>,
    /// How many conversations a purge of all ids must end with each outcome.
    pub expected: BTreeMap<Expected, u32>,
    /// How many conversations jobs have deleted by now.
    pub deleted: usize,
    /// How many jobs are live.
    pub live_jobs: usize,
}

/// One conversation as it really is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationTruth {
    pub conversation_id: Uuid,
    /// Its kind, by now.
    pub kind: Kind,
    /// What a purge must report of it.
    pub expected_outcome: Expected,
    /// When it ended, where that can be read.
    pub ended_at: Option<Timestamp>,
    /// When a job deleted it.
    pub deleted_at: Option<Timestamp>,
    /// The jobs that carried it, first to last.
    pub jobs: Vec<CarryingJob>,
}

/// A job, as one of the conversations that it carried sees it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CarryingJob {
    pub job_id: Uuid,
    pub state: &'static str,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ends, or ended.
    pub ends_at: Timestamp,
    /// Whether this conversation is among those that it deletes.
    pub deletes: bool,
}

/// One line of the expected outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedOutcome {
    pub conversation_id: Uuid,
    /// What a purge must report of it.
    pub expected_outcome: Expected,
}

/// What was called, which rules were broken, and how well jobs were used.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallReport {
    /// How often each call ended in each way: exact.
    pub counts: BTreeMap<Call, BTreeMap<String, u64>>,
    /// How often each rule was broken: exact. Empty is good.
    pub breach_counts: BTreeMap<Rule, u64>,
    /// The first 1000 breaches with their evidence.
    pub breaches: Vec<Breach>,
    /// What the submits amounted to.
    pub jobs: JobFigures,
    /// The last calls, oldest first.
    pub last: Vec<CallEntry>,
}

/// What the submits amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobFigures {
    /// How many jobs were made.
    pub jobs: usize,
    /// The most that were live at once.
    pub most_live: usize,
    /// The ids of the smallest job.
    pub smallest: u32,
    /// The ids of the largest job.
    pub largest: u32,
    /// The ids of a job on average.
    pub mean: f64,
    /// The size that counts as full here.
    pub full_size: u32,
    /// How full jobs were on average, between 0 and 1.
    pub fullness: f64,
    /// Calls of all kinds, the token's included, for each job.
    pub calls_per_job: f64,
}

impl World {
    pub(super) fn truth(&mut self, now: Timestamp) -> Truth {
        let counts = self.kind_counts();
        let mut truth = Truth {
            conversations: self.population.size(),
            kinds: BTreeMap::new(),
            expected: BTreeMap::new(),
            deleted: self.jobs.deleted_count(now),
            live_jobs: self.jobs.live_count(now),
        };
        for (kind, count) in Kind::ALL.into_iter().zip(counts) {
            truth.kinds.insert(kind, count);
            *truth.expected.entry(kind.expected()).or_default() += count;
        }
        truth
    }

    pub(super) fn conversation(
        &self,
        id: Uuid,
        now: Timestamp,
        born: Timestamp,
    ) -> Option<ConversationTruth> {
        let index = self.population.index(id)?;
        let kind = self.kind(index);
        let ended_at = match portrait::draw(kind, self.population.grain(index), born).end {
            End::At(end) => Some(end).filter(|_| kind != Kind::Unknown),
            End::Missing | End::Null | End::Garbage(_) => None,
        };
        let jobs = self.jobs.carriers(index).map(|(job, deletes)| CarryingJob {
            job_id: job.id,
            state: job.stage(now).name(),
            submitted_at: job.submitted_at,
            ends_at: job.ends_at,
            deletes,
        });
        Some(ConversationTruth {
            conversation_id: id,
            kind,
            expected_outcome: kind.expected(),
            ended_at,
            deleted_at: self.jobs.deleter(index, now).map(|job| job.ends_at),
            jobs: jobs.collect(),
        })
    }

    /// What was called; `last` entries at most, and jobs measured against `full_size`.
    pub(super) fn report(&self, last: usize, full_size: u32) -> CallReport {
        CallReport {
            counts: self.log.counts().clone(),
            breach_counts: self.breaches.counts().clone(),
            breaches: self.breaches.first().to_vec(),
            jobs: self.job_figures(full_size),
            last: self.log.last(last),
        }
    }

    fn job_figures(&self, full_size: u32) -> JobFigures {
        let jobs = self.jobs.list();
        let calls: u64 = self.log.counts().values().flat_map(BTreeMap::values).sum();
        let sizes = || jobs.iter().map(|job| job.size);
        let mean = ratio(sizes().map(u64::from).sum(), jobs.len() as u64);
        JobFigures {
            jobs: jobs.len(),
            most_live: self.jobs.most_live(),
            smallest: sizes().min().unwrap_or(0),
            largest: sizes().max().unwrap_or(0),
            mean,
            full_size,
            fullness: mean / f64::from(full_size.max(1)),
            calls_per_job: ratio(calls, jobs.len() as u64),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at; the counts stay far below 2^52")]
fn ratio(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}
