//! What is true, whatever the service knows: what there is upstream, what each upstream job may yet delete, what holds
//! protect, and what was told of each id last.
//!
//! Upstream is trusted with this, as docs/reliability.md tells: it leaves out what is there once at most; a job of which nobody knows
//! is over within `ambiguity_grace`, one that it forgot within `verify_timeout`, one that runs for ever within twice
//! `job_deadline`; what a job deletes shows within `resubmit_after` of its end; and a batch with something that it protects is
//! refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use genesys_purge::domain::facts::{End, Facts, Presence};
use genesys_purge::domain::terms::EngineTerms;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// So many ids there are.
pub const IDS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Present,
    /// Genesys protects it.
    Held,
    /// It ended an hour ago.
    Young,
    /// It has not ended.
    Active,
    Gone,
    /// It never was there.
    Unknown,
}

/// A job that upstream runs.
#[derive(Debug)]
pub struct UpstreamJob {
    /// The service's own id of it.
    pub job: Uuid,
    /// Upstream's.
    pub name: String,
    pub ids: BTreeSet<Uuid>,
    /// What of it is deleted when it stops, if not before.
    pub deletes: BTreeSet<Uuid>,
    /// From then on it deletes nothing more.
    pub stops_at: Duration,
    pub has_stopped: bool,
    pub is_ended: bool,
}

/// A hold that is in force.
#[derive(Debug)]
pub struct Hold {
    pub id: Uuid,
    pub ids: BTreeSet<Uuid>,
    pub too_late: BTreeSet<Uuid>,
}

/// What whole answers said of an id last, as far as they prove something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Free,
    Kept,
    Gone,
}

#[derive(Debug)]
pub struct Truth {
    began: Instant,
    passed: Duration,
    pub ids: Vec<Uuid>,
    pub kinds: BTreeMap<Uuid, Kind>,
    pub jobs: Vec<UpstreamJob>,
    /// Which of our jobs deleted it.
    pub deleted: BTreeMap<Uuid, Uuid>,
    pub holds: Vec<Hold>,
    /// What was told last, and when that was asked.
    pub words: BTreeMap<Uuid, (Duration, Word)>,
    /// What an answer has left out though it was there.
    pub hidden: BTreeSet<Uuid>,
}

impl Truth {
    pub fn new(kinds: &[Kind]) -> Self {
        let ids: Vec<Uuid> = (1..=kinds.len() as u128).map(Uuid::from_u128).collect();
        Self {
            began: Instant::now(),
            passed: Duration::ZERO,
            kinds: ids.iter().copied().zip(kinds.iter().copied()).collect(),
            ids,
            jobs: Vec::new(),
            deleted: BTreeMap::new(),
            holds: Vec::new(),
            words: BTreeMap::new(),
            hidden: BTreeSet::new(),
        }
    }

    /// The ids of these bits.
    pub fn chosen(&self, bits: u8) -> BTreeSet<Uuid> {
        self.ids.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, id)| *id).collect()
    }

    /// Since the beginning of the walk.
    pub fn now(&self) -> Duration {
        self.passed + self.began.elapsed()
    }

    pub fn pass(&mut self, time: Duration) {
        self.passed += time;
        self.settle();
    }

    /// Whatever is over by now is over.
    pub fn settle(&mut self) {
        let now = self.now();
        for number in 0..self.jobs.len() {
            if !self.jobs[number].has_stopped && self.jobs[number].stops_at <= now {
                for id in self.jobs[number].deletes.clone() {
                    self.delete(number, id);
                }
                self.jobs[number].has_stopped = true;
            }
        }
    }

    /// An upstream job deletes an id, unless it is gone or protected by now.
    pub fn delete(&mut self, number: usize, id: Uuid) {
        self.jobs[number].deletes.remove(&id);
        let kind = self.kinds[&id];
        if matches!(kind, Kind::Gone | Kind::Unknown | Kind::Held) {
            return;
        }
        let job = self.jobs[number].job;
        assert_eq!(kind, Kind::Present, "job {job} deletes {id}, which must be kept");
        for hold in &self.holds {
            assert!(
                !hold.ids.contains(&id) || hold.too_late.contains(&id),
                "job {job} deletes {id}, though hold {} did not tell that it came too late",
                hold.id
            );
        }
        self.kinds.insert(id, Kind::Gone);
        self.deleted.insert(id, job);
    }

    /// An upstream job that may yet delete the id.
    pub fn may_delete(&self, id: Uuid) -> Option<&UpstreamJob> {
        self.jobs.iter().find(|job| !job.has_stopped && job.ids.contains(&id))
    }

    pub fn run(&mut self, job: Uuid, ids: &[Uuid], deletes: u8, lasts: Duration) -> String {
        let name = format!("upstream-{}", self.jobs.len());
        let chosen = self.chosen(deletes);
        let deletes = ids.iter().copied().filter(|id| chosen.contains(id)).collect();
        self.jobs.push(UpstreamJob {
            job,
            name: name.clone(),
            ids: ids.iter().copied().collect(),
            deletes,
            stops_at: self.now() + lasts,
            has_stopped: false,
            is_ended: false,
        });
        name
    }

    /// An upstream job that is over so long from now at the latest.
    pub fn stop_within(&mut self, number: usize, time: Duration) {
        let at = self.now() + time;
        let job = &mut self.jobs[number];
        job.stops_at = job.stops_at.min(at);
    }

    /// What a whole answer says of it; half of what is gone is left out.
    pub fn facts(&self, id: Uuid, now: Timestamp) -> Option<Facts> {
        let old = End::At(now - SignedDuration::from_hours(24 * 400));
        let facts = |presence, end| Some(Facts { presence, end });
        match self.kinds[&id] {
            Kind::Present => facts(Presence::Present, old),
            Kind::Held => facts(Presence::Held, old),
            Kind::Young => facts(Presence::Present, End::At(now - SignedDuration::from_hours(1))),
            Kind::Active => facts(Presence::Present, End::NotYet),
            Kind::Gone if id.as_u128().is_multiple_of(2) => facts(Presence::Gone, old),
            Kind::Gone | Kind::Unknown => None,
        }
    }

    /// An answer was recorded.
    pub fn learn(&mut self, asked_at: Duration, id: Uuid, facts: Option<&Facts>) {
        let word = match facts {
            Some(Facts { presence: Presence::Gone, .. }) => Word::Gone,
            Some(Facts { presence: Presence::Held, .. } | Facts { end: End::NotYet, .. }) => Word::Kept,
            Some(_) => Word::Free,
            // Absence proves little.
            None => return,
        };
        let known = self.words.entry(id).or_insert((asked_at, word));
        if known.0 <= asked_at {
            *known = (asked_at, word);
        }
    }

    /// How long an upstream job may go on at most that runs for ever.
    pub fn for_ever(terms: &EngineTerms) -> Duration {
        terms.job_deadline * 2
    }
}
