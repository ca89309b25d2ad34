//! What to do about a job whose submit got no answer, after its ids were read again.

use std::time::Duration;

/// How long to wait before asking what became of the ids: long enough that an upstream job, if there is one, has
/// most likely ended and shows.
pub fn window(grace: Duration, usual_longest_job: Option<Duration>, visibility_lag: Duration) -> Duration {
    let observed = usual_longest_job.map_or(Duration::ZERO, |longest| longest.saturating_add(visibility_lag));
    grace.max(observed)
}

/// What a whole answer after the window showed of the job's open ids.
#[derive(Debug, Clone, Copy)]
pub struct Reread {
    /// So many were seen gone for the first time.
    pub newly_gone: usize,
    /// So many were left out for the first time.
    pub absent_once: usize,
    /// So many are still there.
    pub present: usize,
    /// The first of the unbroken row of losses lies `job_deadline` back.
    pub is_past_deadline: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A second look at what was left out, `absence_gap` later.
    LookAgainSoon,
    /// Ids go on disappearing: an upstream job exists and is at work; another whole window.
    ExtendWindow,
    /// What is still there may be submitted again, under a new intent.
    SubmitAgain,
    /// Lost too often: what is still there ends `failed`.
    GiveUp,
    /// Nothing is open any more.
    Finished,
}

/// Decides about the job as a whole.
pub fn after_reread(reread: Reread) -> Next {
    // Before the second look: what was seen to go in this round is not seen to go in the next.
    if reread.newly_gone > 0 && reread.present > 0 {
        return Next::ExtendWindow;
    }
    if reread.absent_once > 0 {
        return Next::LookAgainSoon;
    }
    if reread.present == 0 {
        return Next::Finished;
    }
    if reread.is_past_deadline { Next::GiveUp } else { Next::SubmitAgain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_covers_what_was_observed_and_never_less_than_the_grace() {
        let seconds = Duration::from_secs;
        let table = [
            (120, None, 600, 120),
            (120, Some(30), 10, 120),
            (120, Some(300), 10, 310),
            (120, Some(u64::MAX), 10, u64::MAX),
        ];
        for (grace, longest, lag, expected) in table {
            assert_eq!(window(seconds(grace), longest.map(seconds), seconds(lag)).as_secs(), expected);
        }
    }

    #[test]
    fn a_job_is_submitted_again_only_when_nothing_disappears_any_more() {
        let reread = |newly_gone, absent_once, present, is_past_deadline| Reread {
            newly_gone,
            absent_once,
            present,
            is_past_deadline,
        };
        let table = [
            (reread(0, 0, 0, false), Next::Finished),
            (reread(500, 0, 0, true), Next::Finished),
            (reread(0, 0, 5, false), Next::SubmitAgain),
            (reread(0, 0, 5, true), Next::GiveUp),
            (reread(1, 0, 5, false), Next::ExtendWindow),
            (reread(1, 0, 5, true), Next::ExtendWindow),
            (reread(0, 1, 5, false), Next::LookAgainSoon),
            (reread(9, 1, 0, true), Next::LookAgainSoon),
            (reread(9, 1, 5, false), Next::ExtendWindow),
        ];
        for (reread, expected) in table {
            assert_eq!(after_reread(reread), expected, "{reread:?}");
        }
    }
}
