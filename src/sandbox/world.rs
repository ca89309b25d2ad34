//! All that can change while the sandbox runs, behind its one lock: settings, jobs, tokens, rules, records of calls.
//!
//! Invariant: the world does no IO and knows no wire format; it is given the time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use super::breaches::{Breaches, Rule};
use super::calls::{Call, CallLog};
use super::faults::{Faults, Strike};
use super::jobs::Jobs;
use super::kinds::Kind;
use super::limits::{Reading, RetryWatch, Window};
use super::population::Population;
use super::portrait::{self, Portrait};
use super::settings::{DeletedLooks, Settings};

/// One answer in so many leaves this share of its ids out, where `leaveOutShare` strikes.
const LEFT_OUT_OF_AN_ANSWER: f64 = 0.05;

#[derive(Debug)]
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) population: Arc<Population>,
    /// Conversations whose kind was changed by hand.
    changed: HashMap<u32, Changed>,
    /// Ids that a details answer has left out once; they are not left out again.
    left_out: HashSet<u32>,
    pub(super) jobs: Jobs,
    pub(super) tokens: super::tokens::Tokens,
    pub(super) window: Window,
    pub(super) retry_watch: RetryWatch,
    pub(super) faults: Faults,
    pub(super) log: CallLog,
    pub(super) breaches: Breaches,
    pub(super) chance: StdRng,
}

#[derive(Debug, Clone, Copy)]
struct Changed {
    kind: Kind,
    /// Whether a details answer has shown it since.
    told: bool,
}

/// What is settled about a call when it arrives, before any work.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) at: Timestamp,
    pub(super) correlation_id: Uuid,
    pub(super) reading: Option<Reading>,
    pub(super) strike: Option<Strike>,
}

/// Why a conversation's kind can't be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// The id is not one of the population.
    #[error("no conversation of this sandbox has that id")]
    NoSuchConversation,
    /// A live job carries it, or a job has deleted it.
    #[error("too late: a job is deleting that conversation, or has deleted it")]
    TooLate,
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            population: Arc::new(Population::new(&settings)),
            chance: StdRng::seed_from_u64(settings.seed),
            settings,
            changed: HashMap::new(),
            left_out: HashSet::new(),
            jobs: Jobs::default(),
            tokens: super::tokens::Tokens::default(),
            window: Window::default(),
            retry_watch: RetryWatch::default(),
            faults: Faults::default(),
            log: CallLog::default(),
            breaches: Breaches::default(),
        }
    }

    /// Takes other settings. Another population is another organization: its jobs, deletions and changed kinds are
    /// forgotten, while tokens, faults and the records of calls stay.
    pub(super) fn take_settings(&mut self, settings: Settings, now: Timestamp) {
        if self.settings.requests_per_minute != settings.requests_per_minute {
            self.window.limit_changed(now);
        }
        if self.settings.is_other_population(&settings) {
            self.population = Arc::new(Population::new(&settings));
            self.chance = StdRng::seed_from_u64(settings.seed);
            self.changed.clear();
            self.left_out.clear();
            self.jobs = Jobs::default();
        }
        self.settings = settings;
    }

    /// Counts a call in, looks whether it should have come at all, and picks the fault that strikes it.
    pub(super) fn arrive(&mut self, call: Call, now: Timestamp) -> Arrival {
        let mut arrival = Arrival { at: now, correlation_id: self.new_id(), reading: None, strike: None };
        if call != Call::Token {
            if let Some(told) = self.retry_watch.disregarded(now) {
                let evidence =
                    serde_json::json!({"call": call, "toldAt": told.at, "notBefore": told.not_before});
                self.breaches.note(Rule::CallBeforeRetryAfter, now, evidence);
            }
            arrival.reading = self.window.admit(now, self.settings.requests_per_minute);
            if let Some(reading) = arrival.reading.filter(|reading| reading.is_breach) {
                let evidence = serde_json::json!({"call": call, "allowed": reading.allowed});
                self.breaches.note(Rule::TooManyCallsAMinute, now, evidence);
            }
        }
        if arrival.reading.is_none_or(|reading| !reading.over) {
            arrival.strike = self.faults.strike(call, &mut self.chance);
        }
        arrival
    }

    /// A random id of the sandbox's own making.
    pub(super) fn new_id(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.chance.random()).into_uuid()
    }

    /// The kind that a conversation has by now.
    pub(super) fn kind(&self, index: u32) -> Kind {
        self.changed.get(&index).map_or_else(|| self.population.kind(index), |changed| changed.kind)
    }

    /// Whether a caller that asked could know the kind of a conversation.
    pub(super) fn could_be_known(&self, index: u32) -> bool {
        self.changed.get(&index).is_none_or(|changed| changed.told)
    }

    /// Gives a conversation another kind, unless it is too late to matter.
    pub(super) fn set_kind(&mut self, id: Uuid, kind: Kind, now: Timestamp) -> Result<(), KindError> {
        let index = self.population.index(id).ok_or(KindError::NoSuchConversation)?;
        if self.jobs.carriers(index).any(|(job, deletes)| deletes || job.is_live(now)) {
            return Err(KindError::TooLate);
        }
        self.changed.insert(index, Changed { kind, told: false });
        Ok(())
    }

    /// How many conversations of each kind there are by now, in the order of [`Kind::ALL`].
    pub(super) fn kind_counts(&self) -> [u32; Kind::COUNT] {
        let mut counts = self.population.counts();
        for (index, changed) in &self.changed {
            counts[self.population.kind(*index) as usize] -= 1;
            counts[changed.kind as usize] += 1;
        }
        counts
    }

    /// What details show of some ids; an id that is not shown is left away.
    pub(super) fn look_up(&mut self, ids: &[Uuid], now: Timestamp, born: Timestamp) -> Vec<(Uuid, Portrait)> {
        let leaves_out = self.strikes(self.settings.leave_out_share);
        let mut shown = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(index) = self.population.index(*id) else { continue };
            let kind = self.kind(index);
            if leaves_out && kind != Kind::Unknown && self.leave_out(index) {
                continue;
            }
            if let Some(changed) = self.changed.get_mut(&index) {
                changed.told = true;
            }
            if let Some(portrait) = self.portrait(index, kind, now, born) {
                shown.push((*id, portrait));
            }
        }
        shown
    }

    fn portrait(&self, index: u32, kind: Kind, now: Timestamp, born: Timestamp) -> Option<Portrait> {
        if kind == Kind::Unknown {
            return None;
        }
        let grain = self.population.grain(index);
        let mut portrait = portrait::draw(kind, grain, born);
        if self.jobs.looks_deleted(index, now) {
            let is_listed = match self.settings.deleted_looks {
                DeletedLooks::Deleted => true,
                DeletedLooks::Absent => false,
                DeletedLooks::Mixed => grain.is_multiple_of(2),
            };
            if !is_listed {
                return None;
            }
            portrait.status = "deleted";
        }
        Some(portrait)
    }

    fn leave_out(&mut self, index: u32) -> bool {
        self.strikes(LEFT_OUT_OF_AN_ANSWER) && self.left_out.insert(index)
    }

    fn strikes(&mut self, share: f64) -> bool {
        share > 0.0 && self.chance.random_bool(share)
    }
}
