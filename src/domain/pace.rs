//! How long the upstream jobs of an org take, and when to ask after them.
//!
//! One or two polls a job are enough when the first comes at the expected end and the next ones close behind it. A
//! poll that finds the job ended tells only an upper bound of its duration; the last poll before tells the lower.

use std::time::Duration;

/// What is known of the durations of an org's jobs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The expected duration in seconds; `None` before any job ended.
    pub expected: Option<f64>,
    /// So many jobs in a row were found ended by their first poll.
    pub early_ends: u8,
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
    /// Between two polls the truth is bracketed: the later of them becomes the estimate, so that the next job is most
    /// likely found ended by its first poll. Where a first poll found the job ended, it may have ended long before:
    /// the estimate shrinks, the more so the more often that happens in a row, so that an estimate that is far too
    /// long is left behind within a few jobs, and a good one is hardly touched. A gap that this service itself made
    /// (it was down, say) teaches nothing: the estimate at most doubles what was seen.
    #[must_use]
    pub fn learn(self, seen_running: Option<Duration>, ended_by: Duration) -> Self {
        let ended_by = ended_by.as_secs_f64();
        if let Some(running) = seen_running {
            let bracketed = ended_by.min(running.as_secs_f64() * 2.0);
            return Self { expected: Some(bracketed), early_ends: 0 };
        }
        let shrink = (0.003 * 2.0_f64.powi(i32::from(self.early_ends / 3))).min(0.3);
        let at_most = self.expected.map_or(ended_by, |expected| expected.min(ended_by));
        Self { expected: Some(at_most * (1.0 - shrink)), early_ends: self.early_ends.saturating_add(1) }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { initial: Duration::from_secs(5), longest: Duration::from_mins(1) };

    /// Runs `jobs` jobs of `duration` one after another; tells the polls and the lateness of each.
    fn run(mut pace: Pace, duration: f64, jobs: usize) -> (Pace, Vec<(u32, f64)>) {
        let mut seen = Vec::new();
        for _ in 0..jobs {
            let mut at = pace.first_poll(BOUNDS);
            let (mut polls, mut running) = (1, None);
            while at.as_secs_f64() < duration {
                running = Some(at);
                at += pace.next_poll(polls - 1, BOUNDS);
                polls += 1;
            }
            seen.push((polls, at.as_secs_f64() / duration - 1.0));
            pace = pace.learn(running, at);
        }
        (pace, seen)
    }

    #[test]
    fn jobs_of_a_steady_length_are_met_by_one_or_two_polls_and_hardly_late() {
        for duration in [1.0, 30.0, 600.0] {
            let (pace, _) = run(Pace { expected: None, early_ends: 0 }, duration, 60);
            let (_, seen) = run(pace, duration, 200);
            let polls = f64::from(seen.iter().map(|(polls, _)| polls).sum::<u32>()) / 200.0;
            let lateness = seen.iter().map(|(_, late)| late).sum::<f64>() / 200.0;
            assert!(polls <= 1.4, "{duration} s: {polls} polls a job");
            assert!(lateness <= 0.03, "{duration} s: {lateness} late");
        }
    }

    #[test]
    fn an_estimate_that_is_far_too_long_is_left_behind_within_forty_jobs() {
        let (pace, _) = run(Pace { expected: Some(60.0), early_ends: 0 }, 1.0, 40);
        assert!(pace.expected.is_some_and(|expected| expected < 1.2), "{pace:?}");
    }

    #[test]
    fn a_gap_that_this_service_made_itself_teaches_little() {
        let pace = Pace { expected: Some(30.0), early_ends: 0 };
        let learned = pace.learn(Some(Duration::from_secs(5)), Duration::from_hours(10));
        assert_eq!(learned.expected, Some(10.0));
    }

    #[test]
    fn before_anything_was_observed_the_settings_rule_and_gaps_never_pass_the_longest() {
        let unknown = Pace { expected: None, early_ends: 0 };
        assert_eq!(unknown.first_poll(BOUNDS), Duration::from_secs(5));
        assert_eq!(unknown.next_poll(0, BOUNDS), Duration::from_secs(5));
        for polls in [10, 1000, u32::MAX] {
            assert_eq!(unknown.next_poll(polls, BOUNDS), Duration::from_mins(1));
        }
    }
}
