//! What to do about a job whose submit got no answer, after its ids were queried again.

use std::time::Duration;

/// How long to wait before asking what became of the ids: long enough that an upstream job, if there is one, has
/// most likely ended and shows.
pub fn window(grace: Duration, usual_longest_job: Option<Duration>, visibility_lag: Duration) -> Duration {
    let observed = usual_longest_job.map_or(Duration::ZERO, |longest| longest.saturating_add(visibility_lag));
    grace.max(observed)
}

/// What the present round of looks after the window has shown so far of the job's open ids.
#[derive(Debug, Clone, Copy)]
pub struct Reread {
    /// So many were seen gone by this look.
    pub newly_gone: usize,
    /// So many were left out for the first time.
    pub absent_once: usize,
    /// Of so many nothing was told yet.
    pub untold: usize,
    /// So many were seen to be still there, by this look or an earlier one of the round.
    pub present: usize,
    /// The first of the unbroken row of losses lies `job_deadline` back.
    pub is_past_deadline: bool,
    /// Submits of this batch without an answer, in a row.
    pub losses: u32,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A second look at what was left out, `absence_gap` later.
    LookAgainSoon,
    /// The rest is asked about.
    AskTheRest,
    /// Ids go on disappearing: an upstream job exists and is at work; another whole window.
    ExtendWindow,
    /// What is still there may be submitted again, under a new intent.
    SubmitAgain,
    /// The same in halves: perhaps one of them makes every submit fail.
    SubmitInHalves,
    /// Lost too often: what is still there ends `failed`.
    GiveUp,
    /// Nothing is open any more.
    Finished,
}

/// A batch that was lost so often in a row goes again in halves.
const LOSSES_BEFORE_HALVES: u32 = 3;

/// Decides about the job as a whole.
pub fn after_reread(reread: Reread) -> Next {
    // Before the second look: what was seen to go in this round is not seen to go in the next.
    if reread.newly_gone > 0 && reread.present + reread.untold > 0 {
        return Next::ExtendWindow;
    }
    if reread.absent_once > 0 {
        return Next::LookAgainSoon;
    }
    if reread.untold > 0 {
        return Next::AskTheRest;
    }
    if reread.present == 0 {
        return Next::Finished;
    }
    if reread.is_past_deadline {
        return Next::GiveUp;
    }
    let has_two = reread.present > 1;
    if has_two && reread.losses >= LOSSES_BEFORE_HALVES { Next::SubmitInHalves } else { Next::SubmitAgain }
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
    fn a_job_is_submitted_again_only_when_all_is_told_and_nothing_disappears_any_more() {
        let reread = |newly_gone, absent_once, untold, present| Reread {
            newly_gone,
            absent_once,
            untold,
            present,
            is_past_deadline: false,
            losses: 1,
        };
        let past = |reread| Reread { is_past_deadline: true, ..reread };
        let lost = |losses, reread| Reread { losses, ..reread };
        let table = [
            (reread(0, 0, 0, 0), Next::Finished),
            (past(reread(500, 0, 0, 0)), Next::Finished),
            (reread(0, 0, 0, 5), Next::SubmitAgain),
            (reread(0, 0, 1, 5), Next::AskTheRest),
            (past(reread(0, 0, 1, 5)), Next::AskTheRest),
            (reread(2, 0, 1, 0), Next::ExtendWindow),
            (past(reread(0, 0, 0, 5)), Next::GiveUp),
            (reread(1, 0, 0, 5), Next::ExtendWindow),
            (past(reread(1, 0, 0, 5)), Next::ExtendWindow),
            (reread(0, 1, 0, 5), Next::LookAgainSoon),
            (reread(0, 1, 9, 5), Next::LookAgainSoon),
            (past(reread(9, 1, 0, 0)), Next::LookAgainSoon),
            (reread(9, 1, 0, 5), Next::ExtendWindow),
            (lost(2, reread(0, 0, 0, 5)), Next::SubmitAgain),
            (lost(3, reread(0, 0, 0, 5)), Next::SubmitInHalves),
            (lost(9, reread(0, 0, 0, 2)), Next::SubmitInHalves),
            (lost(9, reread(0, 0, 0, 1)), Next::SubmitAgain),
            (past(lost(9, reread(0, 0, 0, 5))), Next::GiveUp),
        ];
        for (reread, expected) in table {
            assert_eq!(after_reread(reread), expected, "{reread:?}");
        }
    }
}
