//! The states of purges, slices, jobs and deliveries, and which follows which.
//!
//! The same tables are in docs/architecture.md; a test compares the two.

use super::words::words;

words! {
    /// Where a purge stands.
    PurgeState, "state of a purge" {
        /// It waits for a second person.
        AwaitingApproval = "awaiting_approval",
        /// Accepted; nothing was asked of upstream yet.
        Queued = "queued",
        Running = "running",
        /// Nothing new is started until it is resumed.
        Paused = "paused",
        /// Canceled, while live jobs still run to their end.
        Canceling = "canceling",
        /// Final: every conversation ended lawfully.
        Completed = "completed",
        /// Final: at least one that should have been purged was not.
        Failed = "failed",
        Canceled = "canceled",
    }
}

words! {
    /// Where a slice stands.
    SliceState, "state of a slice" {
        /// Some of it needs facts.
        Queued = "queued",
        /// A details call for it is on the way.
        Validating = "validating",
        /// All of it has facts; some of it is not final.
        Ready = "ready",
        /// All of it is final.
        Settled = "settled",
    }
}

words! {
    /// Where a job stands.
    JobState, "state of a job" {
        /// Its ids are reserved; it waits for a slot.
        Waiting = "waiting",
        /// The intent is committed, the call under way.
        Submitting = "submitting",
        /// The submit got no answer: whether an upstream job exists is unknown.
        InDoubt = "in_doubt",
        Submitted = "submitted",
        /// Upstream ended it; what became of its ids is being asked.
        Verifying = "verifying",
        /// The fate of every id is known.
        Done = "done",
    }
}

words! {
    /// What is done about a job next.
    JobStep, "step of a job" {
        /// It waits for its intent.
        Intend = "intend",
        /// Its ids are looked at afresh before its intent.
        Recheck = "recheck",
        /// Upstream is asked whether it has ended.
        Poll = "poll",
        /// It is past its deadline, and its ids are looked at.
        Overdue = "overdue",
        /// Its submit got no answer, and its ids are read again.
        Reread = "reread",
        /// It ended, and its ids are looked at.
        Verify = "verify",
        /// It was given up and is over: what is gone after all is looked at.
        Late = "late",
    }
}

words! {
    /// How a job ended.
    JobResult, "result of a job" {
        Completed = "completed",
        /// Upstream said that it failed.
        Failed = "failed",
        /// Upstream refused the batch for good.
        Rejected = "rejected",
        /// It did not end within its deadline.
        TimedOut = "timed_out",
        /// Its submit or its upstream job was lost, and its ids were read instead.
        Lost = "lost",
        /// Nothing was left to submit.
        Withdrawn = "withdrawn",
    }
}

words! {
    /// Where a delivery stands.
    DeliveryState, "state of a delivery" {
        /// It is sent when it is due.
        Pending = "pending",
        /// Its receiver took it.
        Delivered = "delivered",
        /// It was given up.
        Dead = "dead",
    }
}

impl PurgeState {
    /// Nothing changes in it any more, except by a retry.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }

    /// New intents may name its conversations.
    pub const fn may_submit(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }

    /// The states that may follow this one.
    pub const fn followers(self) -> &'static [Self] {
        use PurgeState::{AwaitingApproval, Canceled, Canceling, Completed, Failed, Paused, Queued, Running};
        match self {
            AwaitingApproval => &[Queued, Canceling],
            Queued => &[Running, Paused, Canceling],
            Running => &[Paused, Canceling, Completed, Failed],
            Paused => &[Queued, Running, Canceling, Completed, Failed],
            Canceling => &[Canceled],
            Failed => &[Running],
            Completed | Canceled => &[],
        }
    }
}

impl SliceState {
    /// The states that may follow this one.
    pub const fn followers(self) -> &'static [Self] {
        match self {
            Self::Queued => &[Self::Validating, Self::Ready, Self::Settled],
            Self::Validating => &[Self::Queued, Self::Ready, Self::Settled],
            Self::Ready => &[Self::Queued, Self::Settled],
            // A retry takes failed conversations up again.
            Self::Settled => &[Self::Queued],
        }
    }
}

impl JobState {
    /// The states that may follow this one.
    pub const fn followers(self) -> &'static [Self] {
        match self {
            Self::Waiting => &[Self::Submitting, Self::Done],
            Self::Submitting => &[Self::Submitted, Self::Waiting, Self::InDoubt, Self::Done],
            Self::InDoubt => &[Self::Waiting, Self::Done],
            Self::Submitted => &[Self::Verifying],
            Self::Verifying => &[Self::Done],
            Self::Done => &[],
        }
    }
}

impl DeliveryState {
    /// The states that may follow this one.
    pub const fn followers(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Delivered, Self::Dead],
            // Somebody had it sent again.
            Self::Delivered | Self::Dead => &[Self::Pending],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the table under `heading` of docs/architecture.md: `| state | followers |`.
    fn documented(heading: &str) -> Vec<(String, Vec<String>)> {
        let text = include_str!("../../docs/architecture.md");
        let section =
            text.split(&format!("### {heading}\n")).nth(1).expect("the heading stands in the document");
        section
            .lines()
            .take_while(|line| !line.starts_with('#'))
            .filter_map(|line| line.strip_prefix("| `"))
            .map(|row| {
                let mut cells = row.split(" | ");
                let state = cells.next().unwrap_or_default().trim_end_matches('`').to_owned();
                let cell = cells.next().unwrap_or_default();
                let followers = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
                (state, followers)
            })
            .collect()
    }

    #[test]
    fn the_document_and_the_code_draw_the_same_state_machines() {
        let words = |states: Vec<&'static str>| states.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let purges: Vec<_> = PurgeState::ALL
            .iter()
            .map(|s| (s.to_string(), words(s.followers().iter().map(|f| f.as_str()).collect())))
            .collect();
        assert_eq!(documented("Purge"), purges);
        let slices: Vec<_> = SliceState::ALL
            .iter()
            .map(|s| (s.to_string(), words(s.followers().iter().map(|f| f.as_str()).collect())))
            .collect();
        assert_eq!(documented("Slice"), slices);
        let jobs: Vec<_> = JobState::ALL
            .iter()
            .map(|s| (s.to_string(), words(s.followers().iter().map(|f| f.as_str()).collect())))
            .collect();
        assert_eq!(documented("Job"), jobs);
        let deliveries: Vec<_> = DeliveryState::ALL
            .iter()
            .map(|s| (s.to_string(), words(s.followers().iter().map(|f| f.as_str()).collect())))
            .collect();
        assert_eq!(documented("Delivery"), deliveries);
    }

    #[test]
    fn only_a_retry_leaves_a_final_state() {
        for state in PurgeState::ALL.iter().filter(|state| state.is_final()) {
            let expected: &[PurgeState] =
                if *state == PurgeState::Failed { &[PurgeState::Running] } else { &[] };
            assert_eq!(state.followers(), expected, "{state}");
        }
    }
}
