//! Fairness: kinds of steps share the permits, and details queries share the workers.
//!
//! If permits come one by one, the first kind in the order would take each of them. So a kind that was passed over in
//! one turn comes first in the next.

use crate::engine::kind::Kind;
use crate::store::slices::claim::Reach;

/// Maximum queries per turn, so that other work gets its chance in between.
pub(super) const QUESTIONS: usize = 8;

/// What one dispatcher remembers of its last turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Turns {
    /// The refused kind of call got nothing, and another kind did.
    has_passed_over: bool,
    /// Whom the last question was for.
    asked: Option<Reach>,
}

impl Turns {
    /// The kinds by priority; those of the refused call last, or first if they were passed over.
    pub(super) fn kinds(self, refused_call: Option<&str>) -> [Kind; 4] {
        let mut kinds = Kind::ALL;
        let is_refused = |kind: &Kind| Some(kind.call().as_str()) == refused_call;
        kinds.sort_by_key(|kind| is_refused(kind) != self.has_passed_over);
        kinds
    }

    /// Notes which kinds made calls in a turn.
    pub(super) fn note(&mut self, refused_call: Option<&str>, called: &[Kind]) {
        let is_refused = |kind: &Kind| Some(kind.call().as_str()) == refused_call;
        if refused_call.is_none() || called.iter().any(is_refused) {
            self.has_passed_over = false;
        } else if !called.is_empty() {
            self.has_passed_over = true;
        }
    }

    /// Records which group a query is for.
    pub(super) fn note_question(&mut self, reach: Reach) {
        self.asked = Some(reach);
    }

    /// Which group is queried first: free slots, unless the last query was for them.
    pub(super) fn reaches(self) -> [Reach; 2] {
        match self.asked {
            Some(Reach::ForSlots) => [Reach::FirstAndDryRuns, Reach::ForSlots],
            Some(Reach::FirstAndDryRuns) | None => [Reach::ForSlots, Reach::FirstAndDryRuns],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Look, Poll, Submit, Validate};

    #[test]
    fn a_refused_kind_goes_last_and_first_where_it_was_passed_over() {
        let mut turns = Turns::default();
        assert_eq!(turns.kinds(None), [Submit, Poll, Look, Validate]);
        assert_eq!(turns.kinds(Some("submit")), [Poll, Look, Validate, Submit]);
        turns.note(Some("submit"), &[]);
        assert_eq!(turns.kinds(Some("submit")), [Poll, Look, Validate, Submit], "nobody had the permit");
        turns.note(Some("submit"), &[Validate]);
        assert_eq!(turns.kinds(Some("submit")), [Submit, Poll, Look, Validate]);
        turns.note(Some("submit"), &[Validate]);
        assert_eq!(turns.kinds(Some("submit")), [Submit, Poll, Look, Validate], "it had nothing to call for");
        turns.note(Some("submit"), &[Submit, Poll]);
        assert_eq!(turns.kinds(Some("submit")), [Poll, Look, Validate, Submit]);
    }

    #[test]
    fn a_refused_question_keeps_looks_and_validations_in_their_order() {
        let mut turns = Turns::default();
        assert_eq!(turns.kinds(Some("details")), [Submit, Poll, Look, Validate]);
        turns.note(Some("details"), &[Submit, Poll]);
        assert_eq!(turns.kinds(Some("details")), [Look, Validate, Submit, Poll]);
        turns.note(Some("details"), &[Validate, Submit]);
        assert_eq!(turns.kinds(Some("details")), [Submit, Poll, Look, Validate]);
        turns.note(Some("details"), &[Poll]);
        turns.note(None, &[Poll]);
        assert_eq!(turns, Turns::default(), "a call that was answered ends it");
    }

    #[test]
    fn slots_and_who_waits_for_none_are_asked_about_in_turns() {
        let mut turns = Turns::default();
        assert_eq!(turns.reaches(), [Reach::ForSlots, Reach::FirstAndDryRuns]);
        turns.note_question(Reach::ForSlots);
        assert_eq!(turns.reaches(), [Reach::FirstAndDryRuns, Reach::ForSlots]);
        turns.note_question(Reach::FirstAndDryRuns);
        assert_eq!(turns.reaches(), [Reach::ForSlots, Reach::FirstAndDryRuns]);
    }
}
