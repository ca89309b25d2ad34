//! The life of upstream jobs: what each does is decided at its submit, and when it has done it follows from the clock.
//!
//! Invariant: nothing runs in the background; a question about a job or a conversation is answered from the time
//! that it is asked at.

use std::collections::HashMap;

use jiff::Timestamp;
use rand::{RngExt, rngs::StdRng};
use uuid::Uuid;

use super::clock::plus_millis;
use super::settings::Settings;

/// A job's place in the order of submits.
pub(super) type JobNo = u32;

/// One upstream job. It deletes the first `deletes` ids of its batch, at `ends_at`.
#[derive(Debug, Clone)]
pub(super) struct UpstreamJob {
    pub(super) id: Uuid,
    pub(super) submitted_at: Timestamp,
    /// Before this moment the poll call does not know it.
    pub(super) known_at: Timestamp,
    pub(super) ends_at: Timestamp,
    /// From this moment details show what it deleted.
    pub(super) shows_at: Timestamp,
    pub(super) size: u32,
    pub(super) deletes: u32,
    pub(super) succeeds: bool,
    /// How often it was asked for; the letter case of its state turns with it.
    pub(super) polls: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Pending,
    InProgress,
    Completed,
    Failed,
}

impl Stage {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Stage::Pending => "pending",
            Stage::InProgress => "inProgress",
            Stage::Completed => "completed",
            Stage::Failed => "failed",
        }
    }
}

impl UpstreamJob {
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        now < self.ends_at
    }

    pub(super) fn stage(&self, now: Timestamp) -> Stage {
        let (passed, whole) = self.progress(now);
        match (self.is_live(now), self.succeeds) {
            (true, _) if passed * 8 < whole => Stage::Pending,
            (true, _) => Stage::InProgress,
            (false, true) => Stage::Completed,
            (false, false) => Stage::Failed,
        }
    }

    /// How many ids it has worked off: it counts up while the job runs.
    pub(super) fn records_processed(&self, now: Timestamp) -> u32 {
        if !self.is_live(now) {
            return self.deletes;
        }
        let (passed, whole) = self.progress(now);
        u32::try_from(i64::from(self.deletes) * passed / whole).unwrap_or(self.deletes)
    }

    /// Milliseconds that have passed, and that it takes in all.
    fn progress(&self, now: Timestamp) -> (i64, i64) {
        let since = |at: Timestamp| at.as_millisecond().saturating_sub(self.submitted_at.as_millisecond());
        (since(now).max(0), since(self.ends_at).max(1))
    }
}

/// That a job carried a conversation, and where in its batch.
#[derive(Debug, Clone, Copy)]
struct Carriage {
    job: JobNo,
    position: u32,
}

/// All jobs, and which conversation went with which.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    list: Vec<UpstreamJob>,
    by_id: HashMap<Uuid, JobNo>,
    /// The last job of each conversation; most have one in their whole life, so earlier ones are kept apart.
    last: HashMap<u32, Carriage>,
    earlier: HashMap<u32, Vec<Carriage>>,
    live: Vec<JobNo>,
    most_live: usize,
}

impl Jobs {
    /// Takes a batch of indexes on; chance decides how long it takes and how it ends.
    pub(super) fn submit(
        &mut self,
        indexes: &[u32],
        now: Timestamp,
        settings: &Settings,
        chance: &mut StdRng,
    ) -> &UpstreamJob {
        let no = JobNo::try_from(self.list.len()).unwrap_or(JobNo::MAX);
        let size = u32::try_from(indexes.len()).unwrap_or(u32::MAX);
        let (deletes, succeeds) = fate(size, settings, chance);
        let duration = settings.job_duration;
        let takes = i64::from(duration.base_ms) + i64::from(chance.random_range(0..=duration.jitter_ms));
        let ends_at = plus_millis(now, takes);
        let id = uuid::Builder::from_random_bytes(chance.random()).into_uuid();
        self.live_count(now);
        self.live.push(no);
        self.most_live = self.most_live.max(self.live.len());
        self.by_id.insert(id, no);
        for (position, index) in (0..size).zip(indexes) {
            if let Some(before) = self.last.insert(*index, Carriage { job: no, position }) {
                self.earlier.entry(*index).or_default().push(before);
            }
        }
        self.list.push(UpstreamJob {
            id,
            submitted_at: now,
            known_at: plus_millis(now, i64::from(settings.job_unknown_ms)),
            ends_at,
            shows_at: plus_millis(ends_at, i64::from(settings.deletion_lag_ms)),
            size,
            deletes,
            succeeds,
            polls: 0,
        });
        &self.list[no as usize]
    }

    /// The job as the poll call sees it, which counts the look.
    pub(super) fn poll(&mut self, id: Uuid, now: Timestamp) -> Option<&UpstreamJob> {
        let job = self.list.get_mut(*self.by_id.get(&id)? as usize)?;
        if now < job.known_at {
            return None;
        }
        job.polls += 1;
        Some(job)
    }

    /// Ends every live job at this moment, as it would have ended by itself.
    pub(super) fn end_all(&mut self, now: Timestamp) {
        for no in self.live.drain(..) {
            let job = &mut self.list[no as usize];
            let early = job.ends_at.duration_since(now).max(jiff::SignedDuration::ZERO);
            (job.ends_at, job.shows_at) = (job.ends_at - early, job.shows_at - early);
        }
    }

    /// How many jobs are live.
    pub(super) fn live_count(&mut self, now: Timestamp) -> usize {
        let list = &self.list;
        self.live.retain(|no| list[*no as usize].is_live(now));
        self.live.len()
    }

    /// When the first live job ends.
    pub(super) fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.live.iter().map(|no| self.list[*no as usize].ends_at).filter(|end| *end > now).min()
    }

    /// The jobs that carried a conversation, first to last, and whether each deletes it.
    pub(super) fn carriers(&self, index: u32) -> impl Iterator<Item = (&UpstreamJob, bool)> {
        let earlier = self.earlier.get(&index).into_iter().flatten();
        earlier.chain(self.last.get(&index)).map(|carriage| {
            let job = &self.list[carriage.job as usize];
            (job, carriage.position < job.deletes)
        })
    }

    /// The first job that had deleted a conversation by now.
    pub(super) fn deleter(&self, index: u32, now: Timestamp) -> Option<&UpstreamJob> {
        self.carriers(index)
            .filter(|(job, deletes)| *deletes && !job.is_live(now))
            .map(|(job, _)| job)
            .min_by_key(|job| job.ends_at)
    }

    /// Whether details show by now that a job deleted a conversation.
    pub(super) fn looks_deleted(&self, index: u32, now: Timestamp) -> bool {
        self.carriers(index).any(|(job, deletes)| deletes && job.shows_at <= now)
    }

    /// How many conversations jobs have deleted by now.
    pub(super) fn deleted_count(&self, now: Timestamp) -> usize {
        self.last.keys().filter(|index| self.deleter(**index, now).is_some()).count()
    }

    pub(super) fn list(&self) -> &[UpstreamJob] {
        &self.list
    }

    /// The most jobs that were live at once.
    pub(super) fn most_live(&self) -> usize {
        self.most_live
    }
}

/// How many ids a job will delete, and whether it will call itself completed.
fn fate(size: u32, settings: &Settings, chance: &mut StdRng) -> (u32, bool) {
    let lot: f64 = chance.random();
    if lot < settings.failed_share {
        (0, false)
    } else if lot < settings.failed_share + settings.partial_share {
        let some = if size > 1 { chance.random_range(1..size) } else { 0 };
        (some, chance.random())
    } else {
        (size, true)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn settings() -> Settings {
        Settings {
            failed_share: 0.0,
            partial_share: 0.0,
            job_duration: super::super::settings::JobDuration { base_ms: 8000, jitter_ms: 0 },
            job_unknown_ms: 100,
            deletion_lag_ms: 500,
            ..Settings::default()
        }
    }

    fn at(millis: i64) -> Timestamp {
        plus_millis(Timestamp::UNIX_EPOCH, millis)
    }

    #[test]
    fn a_job_passes_its_stages_with_the_clock_alone() {
        let (mut jobs, mut chance) = (Jobs::default(), StdRng::seed_from_u64(1));
        let id = jobs.submit(&[10, 11], at(0), &settings(), &mut chance).id;
        assert!(jobs.poll(id, at(99)).is_none(), "not known yet");
        for (millis, stage, processed) in [
            (100, Stage::Pending, 0),
            (1000, Stage::InProgress, 0),
            (4000, Stage::InProgress, 1),
            (7999, Stage::InProgress, 1),
            (8000, Stage::Completed, 2),
            (9_000_000, Stage::Completed, 2),
        ] {
            let job = jobs.poll(id, at(millis)).unwrap();
            assert_eq!(
                (job.stage(at(millis)), job.records_processed(at(millis))),
                (stage, processed),
                "{millis}"
            );
        }
        assert!(jobs.poll(Uuid::nil(), at(0)).is_none());
    }

    #[test]
    fn a_deletion_happens_at_the_end_and_shows_after_the_lag() {
        let (mut jobs, mut chance) = (Jobs::default(), StdRng::seed_from_u64(1));
        jobs.submit(&[10, 11], at(0), &settings(), &mut chance);
        for (millis, deleted, shows) in
            [(7999, 0, false), (8000, 2, false), (8499, 2, false), (8500, 2, true)]
        {
            assert_eq!(
                (jobs.deleted_count(at(millis)), jobs.looks_deleted(11, at(millis))),
                (deleted, shows)
            );
        }
        assert!(jobs.deleter(12, at(9000)).is_none());
    }

    #[test]
    fn jobs_that_fail_or_stop_half_way_delete_what_they_say() {
        let mut chance = StdRng::seed_from_u64(3);
        let failing = Settings { failed_share: 1.0, ..settings() };
        assert_eq!(fate(100, &failing, &mut chance), (0, false));
        let partial = Settings { partial_share: 1.0, ..settings() };
        let fates: Vec<_> = (0..50).map(|_| fate(100, &partial, &mut chance)).collect();
        assert!(fates.iter().all(|(deletes, _)| (1..100).contains(deletes)));
        assert!(fates.iter().any(|(_, succeeds)| *succeeds) && fates.iter().any(|(_, succeeds)| !succeeds));
        assert_eq!(fate(1, &partial, &mut chance).0, 0, "one id can't be halved");
    }

    #[test]
    fn an_id_in_two_jobs_is_deleted_by_the_first_that_ends() {
        let (mut jobs, mut chance) = (Jobs::default(), StdRng::seed_from_u64(1));
        let first = jobs.submit(&[5], at(0), &Settings { failed_share: 1.0, ..settings() }, &mut chance).id;
        let second = jobs.submit(&[5], at(1000), &settings(), &mut chance).id;
        assert_eq!(jobs.live_count(at(1000)), 2);
        assert_eq!(jobs.next_end(at(1000)), Some(at(8000)));
        assert_eq!(jobs.carriers(5).map(|(job, _)| job.id).collect::<Vec<_>>(), [first, second]);
        assert!(jobs.deleter(5, at(8000)).is_none(), "the first deletes nothing");
        assert_eq!(jobs.deleter(5, at(9000)).unwrap().id, second);
        assert_eq!((jobs.live_count(at(9000)), jobs.most_live()), (0, 2));
    }
}
