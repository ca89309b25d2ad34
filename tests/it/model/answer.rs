//! Answers that a replica has in hand, and the question that they are answers to.

use super::set::{IDS, Set};

/// What an answer told of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Told {
    /// Not asked, or the answer says nothing of it.
    #[default]
    Nothing,
    Absent,
    Gone,
    Held,
    Present,
}

/// An answer that a replica has in hand, and what became known since it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Answer {
    pub told: [Told; IDS],
    /// Conversations whose first absence was old enough when this was asked.
    pub old_absences: Set,
    pub gone_since: Set,
    pub kept_since: Set,
    /// The rules have changed since.
    pub is_of_old_rules: bool,
    /// When it was asked, a submit that was forgotten may have been at work.
    pub is_early: bool,
}

impl Answer {
    /// Only what says something of these conversations makes a difference.
    pub fn forget_all_but(&mut self, about: Set) {
        self.old_absences = self.old_absences.and(about);
        let told = Set::of(IDS, |id| self.told[id] != Told::Nothing);
        (self.gone_since, self.kept_since) = (self.gone_since.and(told), self.kept_since.and(told));
    }
}

/// A question for facts under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// The conversations that are leased to it.
    pub about: Set,
    pub answer: Answer,
}
