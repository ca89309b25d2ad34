//! An unfinished job: its row, the step that is under way for it, and the job that upstream runs.

use genesys_purge::domain::state::JobState;

use super::answer::Answer;
use super::set::{NAMES, Set};

/// What the caller of a submit has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// The intent is committed; nothing was written.
    Committed {
        /// Its deadline has passed.
        is_late: bool,
    },
    /// Upstream took it, and may yet delete these ids.
    Yes(Set),
    /// No answer.
    Silence,
    /// A conflict that names these ids.
    Named(Set),
    /// A conflict that names nobody.
    Unnamed,
    /// A definite no.
    No,
}

/// How far a job has come in a wait that a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Wait {
    #[default]
    Begun,
    /// In doubt: the window has passed. Ended: deletions have shown, by experience.
    Passed,
    /// Ended: deletions have shown, by the settings.
    Over,
}

/// A look under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Look {
    pub answer: Answer,
    /// How far the wait had come when it was asked.
    pub wait: Wait,
}

/// The deadline of a job that upstream runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Overdue {
    #[default]
    InTime,
    /// It has passed, and no poll has noted it yet.
    Passed,
    Noted,
    /// It has passed a second time.
    GivenUp,
}

/// The first half of a batch that conflicted, whose answer the rest waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum First {
    /// That unfinished job.
    Job(u8),
    /// It is done, and upstream took it as it was or not.
    Done { was_taken: bool },
}

/// An unfinished job. Its reservations are what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of its own")]
pub struct Job {
    pub state: JobState,
    pub carries: Set,
    pub wants_recheck: bool,
    pub is_rechecked: bool,
    pub is_child: bool,
    /// The search that it is a piece of.
    pub search: Option<u8>,
    /// It is the rest of a batch that conflicted.
    pub after: Option<First>,
    pub has_conflicted: bool,
    /// Submits without an answer, in a row.
    pub losses: u8,
    /// The first of them lies the job's deadline back.
    pub is_past_deadline: bool,
    pub wait: Wait,
    pub overdue: Overdue,
    pub looked: Set,
    pub carried_before: Set,
    /// Upstream does not know it any more, and a third 404 in a row said so.
    pub is_lost: bool,
    /// At upstream: what it may yet delete.
    pub to_delete: Set,
    /// At upstream: it ended.
    pub has_ended: bool,
    /// At upstream: it answers 404.
    pub is_forgotten: bool,
    /// A copy of the database knows the same upstream job.
    pub is_copied: bool,
    pub call: Option<Call>,
    pub look: Option<Look>,
}

impl Job {
    /// One that waits for its intent.
    pub const fn waiting(carries: Set) -> Self {
        Self {
            state: JobState::Waiting,
            carries,
            wants_recheck: false,
            is_rechecked: false,
            is_child: false,
            search: None,
            after: None,
            has_conflicted: false,
            losses: 0,
            is_past_deadline: false,
            wait: Wait::Begun,
            overdue: Overdue::InTime,
            looked: Set(0),
            carried_before: Set(0),
            is_lost: false,
            to_delete: Set(0),
            has_ended: false,
            is_forgotten: false,
            is_copied: false,
            call: None,
            look: None,
        }
    }

    /// As the generated column `takes_slot` says it.
    pub const fn takes_slot(&self) -> bool {
        matches!(self.state, JobState::Submitting | JobState::InDoubt | JobState::Submitted)
    }

    /// As the generated column `may_delete` says it.
    pub const fn may_delete(&self) -> bool {
        self.takes_slot() || matches!(self.state, JobState::Verifying)
    }

    /// Upstream took it: it has its id.
    pub const fn is_taken(&self) -> bool {
        matches!(self.state, JobState::Submitted | JobState::Verifying)
    }

    pub fn forget_leftovers(&mut self, is_there: Set) {
        self.to_delete = self.to_delete.and(is_there);
        if let Some(Call::Yes(to_delete)) = &mut self.call {
            *to_delete = to_delete.and(is_there);
        }
        if self.is_taken() {
            // It is never submitted again.
            self.search = None;
        }
        let Some(look) = &mut self.look else { return };
        look.answer.forget_all_but(self.carries);
        // Only a recheck judges, and only after the end the wait counts.
        if self.state != JobState::Waiting {
            let Answer { told, old_absences, .. } = look.answer;
            look.answer = Answer { told, old_absences, ..Answer::default() };
        }
        if self.state != JobState::Verifying {
            look.wait = Wait::Begun;
        }
    }

    pub fn carries_id(&self, id: usize) -> bool {
        self.carries.iter().any(|number| NAMES[number].1 == id)
    }
}
