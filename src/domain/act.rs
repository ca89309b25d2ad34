//! What a caller may do to a purge that exists, in which states, and which state follows.
//!
//! The same table is in docs/architecture.md; a test compares the two.

use super::state::PurgeState;
use super::words::words;

words! {
    /// What a caller does to a purge.
    Act, "act" {
        /// What was not submitted ends `canceled`; live jobs run to their end and count.
        Cancel = "cancel",
        /// Nothing new is begun.
        Pause = "pause",
        Resume = "resume",
        /// Its failed conversations are taken up again.
        Retry = "retry",
    }
}

words! {
    /// What an operator does to an org.
    OrgAct, "act on an org" {
        /// Nothing new is begun for it.
        Stop = "stop",
        Resume = "resume",
    }
}

impl Act {
    /// The state that the act leads to; `None` where the present state does not allow it.
    ///
    /// `has_started`: the first question about the purge was asked.
    pub const fn leads_to(self, state: PurgeState, has_started: bool) -> Option<PurgeState> {
        use PurgeState::{AwaitingApproval, Canceling, Failed, Paused, Queued, Running};
        match (self, state) {
            (Self::Cancel, AwaitingApproval | Queued | Running | Paused | Canceling) => Some(Canceling),
            (Self::Pause, Queued | Running) => Some(Paused),
            (Self::Resume, Paused) if has_started => Some(Running),
            (Self::Resume, Paused) => Some(Queued),
            (Self::Retry, Failed) => Some(Running),
            _ => None,
        }
    }

    /// The states that allow it.
    pub fn allowed_in(self) -> impl Iterator<Item = PurgeState> {
        PurgeState::ALL.iter().copied().filter(move |&state| self.leads_to(state, true).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_and_the_code_allow_the_same_acts() {
        let text = include_str!("../../docs/architecture.md");
        let section = text.split("### Acts\n").nth(1).expect("the heading stands in the document");
        let rows =
            section.lines().take_while(|line| !line.starts_with('#')).filter(|line| line.starts_with("| `"));
        let documented: Vec<Vec<&str>> = rows
            .map(|row| row.split(" | ").take(2).flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect())
            .collect();
        let coded: Vec<Vec<&str>> = Act::ALL
            .iter()
            .map(|act| {
                std::iter::once(act.as_str()).chain(act.allowed_in().map(PurgeState::as_str)).collect()
            })
            .collect();
        assert_eq!(documented, coded);
    }

    #[test]
    fn an_act_leads_along_the_state_machine() {
        for act in Act::ALL {
            for &state in PurgeState::ALL {
                for has_started in [true, false] {
                    let Some(next) = act.leads_to(state, has_started) else { continue };
                    assert!(next == state || state.followers().contains(&next), "{act}: {state} -> {next}");
                }
            }
        }
    }

    #[test]
    fn nothing_but_a_retry_changes_what_is_final_and_a_cancel_all_the_rest() {
        for &state in PurgeState::ALL {
            assert_eq!(Act::Cancel.leads_to(state, true).is_some(), !state.is_final(), "{state}");
            for act in [Act::Pause, Act::Resume] {
                assert!(act.leads_to(state, true).is_none() || !state.is_final(), "{act} {state}");
            }
        }
        assert_eq!(Act::Resume.leads_to(PurgeState::Paused, false), Some(PurgeState::Queued));
        assert_eq!(Act::Retry.allowed_in().collect::<Vec<_>>(), [PurgeState::Failed]);
    }
}
