//! How long the upstream jobs of an org take, and when to poll them.
//!
//! One or two polls a job are enough when the first comes at the expected end and the next ones close behind it. A
//! poll that finds the job ended gives only an upper bound of its duration; the poll before gives the lower bound.
//!
//! Large jobs may take longer than small ones, so each size class (from one power of two to the next) has its own
//! estimate. A job of a class without an estimate is polled as the settings say, but no later than a larger one would
//! be.
//!
//! Invariant: no job goes unpolled for longer than the maximum time between polls, and the duration of a single job
//! never delays a first poll beyond the settings.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is known of the durations of an org's jobs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pace {
    /// By the smallest size of their class.
    classes: BTreeMap<u32, Estimate>,
}

/// What is known of one class; durations in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Estimate {
    expected: f64,
    /// Whether two jobs at least took as long as expected.
    agreed: bool,
    /// What the last job took, if it outlasted what was expected: the next one may agree.
    longer: Option<f64>,
    /// How long after its submit a recent job was still running: what the estimate need not fall below. 0 before any was.
    running: f64,
    /// Whether jobs contradict each other.
    varies: bool,
    /// How many jobs in a row their first poll found ended, perhaps long before.
    early: u32,
}

/// The settings of polling.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The first poll of a job before anything was observed.
    pub initial: Duration,
    /// The longest time without a poll.
    pub longest: Duration,
}

/// When the first poll comes, if nothing forbids it, and how far behind it the second; in seconds.
struct Plan {
    aim: f64,
    gap: f64,
}

const SHORTEST_GAP: f64 = 0.025;
/// Each gap is longer than the one before by this part.
const GROWTH: f64 = 0.6;
/// Where lengths differ the estimate goes up so far when two jobs in a row outlast it, and down when one does not.
const UP: f64 = 1.03;
const DOWN: f64 = 0.004;
/// Where they are steady it goes down by so much to find out whether they have become shorter.
const PROBE: f64 = 0.001;
/// After so many jobs in a row that were found ended each step down is larger than the one before.
const PATIENCE: u32 = 32;
const HASTE: f64 = 1.2;

impl Pace {
    /// How long a job of so many conversations is expected to take; `None` before any of about this size ended.
    pub fn expected(&self, size: usize) -> Option<Duration> {
        self.classes.get(&class(size)).map(|estimate| seconds(estimate.expected))
    }

    /// How long after the submit to poll first.
    pub fn first_poll(&self, size: usize, bounds: Bounds) -> Duration {
        seconds(self.plan(size, bounds).aim).min(bounds.longest)
    }

    /// How long to wait after a poll that found the job still running so long after its submit.
    pub fn next_poll(&self, size: usize, running: Duration, bounds: Bounds) -> Duration {
        let Plan { aim, gap } = self.plan(size, bounds);
        let past = running.as_secs_f64() - aim;
        let next = if past < 0.0 { -past } else { gap + GROWTH * past };
        seconds(next.max(SHORTEST_GAP)).min(bounds.longest)
    }

    fn plan(&self, size: usize, bounds: Bounds) -> Plan {
        let initial = bounds.initial.as_secs_f64();
        let known = |estimate: &Estimate| {
            (estimate.agreed || estimate.expected <= initial).then_some(estimate.expected)
        };
        let class = class(size);
        if let Some(aim) = self.classes.get(&class).and_then(known) {
            return Plan { aim, gap: aim / 40.0 };
        }
        let larger =
            self.classes.range(class.saturating_add(1)..).filter_map(|(_, estimate)| known(estimate));
        let aim = larger.fold(initial, f64::min);
        Plan { aim, gap: aim }
    }

    /// Learns from a job of so many conversations that was found ended `ended_by` after its submit and was last found running
    /// `seen_running` after it.
    ///
    /// While what is known lies far apart the estimate halves the distance. Then it stays just behind the truth of jobs
    /// of a steady length; where lengths differ it settles where most jobs have ended, which takes two or three polls a
    /// job and lets slots idle for a while. It goes up only as far as two jobs in a row agree. A gap that this service itself
    /// made teaches little.
    #[must_use]
    pub fn learn(mut self, size: usize, seen_running: Option<Duration>, ended_by: Duration) -> Self {
        let running = seen_running.unwrap_or_default().as_secs_f64();
        let ended_by = ended_by.as_secs_f64();
        let known = self.classes.get(&class(size)).copied();
        let learned = match known {
            None => Estimate::first(running, ended_by),
            // Times come from clocks and are rounded.
            Some(known) if running >= known.expected * 0.999_999 => known.outlasted(running, ended_by),
            Some(known) => known.met(running, ended_by),
        };
        self.classes.insert(class(size), learned);
        self
    }
}

impl Estimate {
    fn first(running: f64, ended_by: f64) -> Self {
        let expected = f64::midpoint(running, ended_soon(running, ended_by));
        Self { expected, agreed: false, longer: None, running, varies: false, early: 0 }
    }

    /// The job was still running when it was expected to have ended.
    fn outlasted(self, running: f64, ended_by: f64) -> Self {
        let ended_by = ended_soon(running, ended_by);
        let took = if is_far(running, ended_by) { f64::midpoint(running, ended_by) } else { ended_by };
        let both = match self.longer {
            Some(before) if self.agreed => before.min(took),
            _ => return Self { agreed: true, longer: Some(took), early: 0, ..self },
        };
        if self.varies && both < self.expected * 2.0 {
            return Self { expected: both.min(self.expected * UP), longer: None, early: 0, ..self };
        }
        Self { expected: both, longer: None, running: running.min(both), varies: false, early: 0, ..self }
    }

    /// The job was found ended by the time when it was expected to, or was expected to end between two polls.
    fn met(self, running: f64, ended_by: f64) -> Self {
        let was_running = running > 0.0;
        let known = Self {
            agreed: self.agreed || was_running && ended_soon(running, ended_by) >= self.expected,
            longer: self.longer.filter(|longer| *longer <= ended_by),
            running: self.running.max(running),
            early: if was_running { 0 } else { self.early.saturating_add(1) },
            ..self
        };
        let at_most = self.expected.min(ended_by);
        // What one job alone took says nothing against another.
        if known.running >= ended_by && !self.agreed {
            return Self::first(running, ended_by);
        }
        let step = |least: f64| {
            at_most * (least * HASTE.powi(self.early.saturating_sub(PATIENCE).min(40).cast_signed())).min(0.5)
        };
        if self.varies || known.running >= ended_by {
            return Self { expected: at_most - step(DOWN), varies: true, ..known };
        }
        if is_far(known.running, at_most) {
            return Self { expected: f64::midpoint(known.running, at_most), ..known };
        }
        if was_running || known.running >= at_most {
            return Self { expected: at_most, ..known };
        }
        let expected = at_most - step(PROBE);
        // What was seen long ago counts less and less.
        Self { expected, running: known.running.min(expected * 0.995), ..known }
    }
}

/// What a job took at most that was last found running after so long, without the time for which nobody asked.
fn ended_soon(running: f64, ended_by: f64) -> f64 {
    if running > 0.0 { ended_by.min(running * 2.0) } else { ended_by }
}

/// The smallest size of the class of this one.
fn class(size: usize) -> u32 {
    let size = u32::try_from(size).unwrap_or(u32::MAX).max(1);
    1 << size.ilog2()
}

/// Bounds so far apart leave room for a better estimate between them.
fn is_far(lower: f64, upper: f64) -> bool {
    upper - lower > upper * 0.04
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
