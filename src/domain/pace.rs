//! How long the upstream jobs of an org take, and when to ask after them.
//!
//! One or two polls a job are enough when the first comes at the expected end and the next ones close behind it. A
//! poll that finds the job ended tells only an upper bound of its duration; the last poll before tells the lower.

use std::time::Duration;

/// What is known of the durations of an org's jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    /// The expected duration in seconds; `None` before any job ended.
    pub expected: Option<f64>,
    /// How long after its submit a recent job was still running, in seconds: what the estimate need not fall below.
    /// `None` before any was, 0 where jobs contradict each other.
    pub running: Option<f64>,
}

/// The settings of polling.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The first poll of a job before anything was observed.
    pub initial: Duration,
    /// The longest time between two polls.
    pub longest: Duration,
}

const SHORTEST_GAP: f64 = 0.025;

impl Pace {
    /// How long after the submit to poll first.
    pub fn first_poll(&self, bounds: Bounds) -> Duration {
        self.expected.map_or(bounds.initial, seconds)
    }

    /// How long to wait after the `polls`-th poll that found the job still running.
    pub fn next_poll(&self, polls: u32, bounds: Bounds) -> Duration {
        let base = self.expected.map_or(bounds.initial.as_secs_f64(), |expected| expected / 40.0);
        let gap = base.max(SHORTEST_GAP) * 1.6_f64.powi(i32::try_from(polls.min(40)).unwrap_or(40));
        seconds(gap.min(bounds.longest.as_secs_f64()))
    }

    /// Learns from a job that was found ended `ended_by` after its submit and was last found running
    /// `seen_running` after it.
    ///
    /// While what is known lies far apart the estimate halves the distance. Then it stays just behind the truth of jobs
    /// of a steady length; where lengths differ it settles where most jobs have ended, which takes two or three polls a
    /// job and lets slots idle for a while. A gap that this service itself made teaches nothing.
    #[must_use]
    pub fn learn(self, seen_running: Option<Duration>, ended_by: Duration) -> Self {
        let ended_by = ended_by.as_secs_f64();
        match seen_running {
            Some(running) => self.learn_bracketed(running.as_secs_f64(), ended_by),
            None => self.learn_early(ended_by),
        }
    }

    /// The truth lies between two polls.
    fn learn_bracketed(self, running: f64, ended_by: f64) -> Self {
        let ended_by = ended_by.min(running * 2.0);
        let Some(expected) = self.expected else {
            return Self { expected: Some(f64::midpoint(running, ended_by)), running: Some(running) };
        };
        if self.running == Some(0.0) {
            return Self { expected: Some(ended_by.min(expected * 1.01)), ..self };
        }
        let at_most = ended_by.min(expected.max(running) * 1.05);
        let expected = if is_far(running, at_most) { f64::midpoint(running, at_most) } else { at_most };
        Self { expected: Some(expected), running: Some(running) }
    }

    /// A first poll found the job ended; it may have ended long before.
    fn learn_early(self, ended_by: f64) -> Self {
        let at_most = self.expected.map_or(ended_by, |expected| expected.min(ended_by));
        let (expected, running) = match self.running {
            None => (at_most / 2.0, None),
            // Shorter than another job was still running: lengths differ.
            Some(running) if running >= at_most || running <= 0.0 => (at_most * 0.996, Some(0.0)),
            Some(running) if is_far(running, at_most) => (f64::midpoint(running, at_most), Some(running)),
            // What was seen long ago counts less and less.
            Some(running) => ((at_most * 0.999).max(at_most.min(running * 1.005)), Some(running * 0.9995)),
        };
        Self { expected: Some(expected), running }
    }
}

/// Bounds so far apart leave room for a better estimate between them.
fn is_far(lower: f64, upper: f64) -> bool {
    upper - lower > upper * 0.04
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { initial: Duration::from_secs(5), longest: Duration::from_mins(1) };

    /// Runs jobs, `slots` at a time, of which the n-th takes `duration(n)`; tells the polls and the lateness of each.
    fn run(
        mut pace: Pace,
        slots: usize,
        jobs: usize,
        duration: impl Fn(usize) -> f64,
    ) -> (Pace, Vec<(u32, f64)>) {
        let mut seen = Vec::new();
        for round in 0..jobs / slots {
            // All of a round are polled by what was known when they were submitted.
            let known = pace;
            for slot in 0..slots {
                let duration = duration(round * slots + slot);
                let mut at = known.first_poll(BOUNDS);
                let (mut polls, mut running) = (1, None);
                while at.as_secs_f64() < duration {
                    running = Some(at);
                    at += pace.next_poll(polls - 1, BOUNDS);
                    polls += 1;
                }
                seen.push((polls, at.as_secs_f64() / duration - 1.0));
                pace = pace.learn(running, at);
            }
        }
        (pace, seen)
    }

    fn means(seen: &[(u32, f64)]) -> (f64, f64) {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred jobs")]
        let jobs = seen.len() as f64;
        let polls = f64::from(seen.iter().map(|(polls, _)| polls).sum::<u32>()) / jobs;
        (polls, seen.iter().map(|(_, late)| late).sum::<f64>() / jobs)
    }

    #[test]
    fn jobs_of_a_steady_length_are_met_by_one_or_two_polls_and_hardly_late() {
        for duration in [1.0, 30.0, 600.0] {
            for slots in [1, 5, 10] {
                let (pace, _) = run(Pace::default(), slots, 60, |_| duration);
                let (polls, late) = means(&run(pace, slots, 300, |_| duration).1);
                assert!(polls <= 1.5, "{duration} s, {slots} slots: {polls} polls a job");
                assert!(late <= 0.03, "{duration} s, {slots} slots: {late} late");
            }
        }
    }

    #[test]
    fn jobs_of_an_unsteady_length_are_met_by_two_or_three_polls() {
        // Between 6 and 12 s, in no order.
        let unsteady = |job: usize| 6.0 + f64::from(u32::try_from(job * 7919 % 601).unwrap()) / 100.0;
        for slots in [1, 5, 10] {
            let (pace, _) = run(Pace::default(), slots, 100, unsteady);
            let (polls, late) = means(&run(pace, slots, 500, unsteady).1);
            assert!(polls <= 3.2, "{slots} slots: {polls} polls a job");
            assert!(late <= 0.4, "{slots} slots: {late} late");
        }
    }

    #[test]
    fn an_estimate_that_is_far_too_long_is_left_behind_within_ten_jobs() {
        let (pace, _) = run(Pace { expected: Some(60.0), ..Pace::default() }, 1, 10, |_| 1.0);
        assert!(pace.expected.is_some_and(|expected| expected < 1.2), "{pace:?}");
    }

    #[test]
    fn a_gap_that_this_service_made_itself_teaches_little() {
        let pace = Pace { expected: Some(30.0), running: Some(29.0) };
        let learned = pace.learn(Some(Duration::from_secs(5)), Duration::from_hours(10));
        assert!(learned.expected.is_some_and(|expected| expected <= 30.0), "{learned:?}");
    }

    #[test]
    fn before_anything_was_observed_the_settings_rule_and_gaps_never_pass_the_longest() {
        let unknown = Pace::default();
        assert_eq!(unknown.first_poll(BOUNDS), Duration::from_secs(5));
        assert_eq!(unknown.next_poll(0, BOUNDS), Duration::from_secs(5));
        for polls in [10, 1000, u32::MAX] {
            assert_eq!(unknown.next_poll(polls, BOUNDS), Duration::from_mins(1));
        }
    }
}
