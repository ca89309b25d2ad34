//! The small world, as compact as it goes: what is committed, what a replica has in hand, and what is true at upstream.
//!
//! Up to four ids; the first purge names all of them, the second one only the first. Each conversation stands in a slice of its own.
//! Time is no number here but what has passed by now of each wait that a rule speaks of. A replica is the step that it has
//! in hand: a question, a call or a look; whatever a dead one had in hand is gone with it.

use genesys_purge::domain::outcome::{Cell, Marks, Outcome};
use genesys_purge::domain::state::PurgeState;

use super::pieces;

pub use super::answer::{Answer, Question, Told};
pub use super::job::{Call, First, Job, Look, Overdue, Wait};
pub use super::rewinding::Ground;
pub use super::set::{IDS, JOBS, NAMES, REPLICAS, SLOTS, Set};

/// What is true of an id at upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truth {
    Present,
    /// Upstream protects it.
    Held,
    /// Upstream protects it, and only the answer to a submit tells.
    Secret,
    Gone,
}

/// An id: at upstream, in the findings and the holds, and what the invariants remember of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is known or true for itself")]
pub struct Id {
    pub truth: Truth,
    /// Upstream lists it once it is deleted; else answers leave it out then.
    pub is_listed: bool,
    /// Answers leave it out though it is there, for less than the absence gap.
    pub is_hidden: bool,
    /// A hold of this service names it.
    pub is_held: bool,
    /// Somebody was told that it is held, and not that it is released.
    pub is_promised: bool,
    /// Among the findings: some purge has seen it gone.
    pub was_gone: bool,
    /// Among the findings: a job that carried it let it go unseen.
    pub was_carried: bool,
    /// A decision called it gone.
    pub is_known_gone: bool,
    /// The service has read that upstream protects it, or has called it retained: both are for ever here.
    pub is_known_kept: bool,
    /// An intent named it, and neither a recorded answer nor a look after the wait has told what became of it.
    pub is_fate_open: bool,
}

/// By what a conversation was judged, compared with what was found out about its id since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is true for itself")]
pub struct Stamp {
    pub gone_since: bool,
    pub kept_since: bool,
    /// Too old, or judged by other rules.
    pub is_stale: bool,
    /// Asked when a submit that was forgotten may have been at work.
    pub is_early: bool,
}

/// A conversation of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conversation {
    /// As the slice keeps it.
    pub byte: u8,
    pub facts: Stamp,
    /// The absence gap has passed since the answer that left it out.
    pub is_absence_old: bool,
    /// Jobs of this run that left it where it was.
    pub attempts: u8,
    /// A call that named it may have deleted it.
    pub was_sent: bool,
}

impl Conversation {
    pub fn cell(self) -> Cell {
        Cell::from_byte(self.byte).unwrap()
    }

    pub fn outcome(self) -> Outcome {
        self.cell().outcome
    }

    pub fn has(self, mark: Marks) -> bool {
        self.cell().marks.has(mark)
    }

    fn forget_leftovers(&mut self) {
        self.is_absence_old &= self.has(Marks::ABSENT);
        match self.outcome() {
            Outcome::Eligible | Outcome::Submitted => {}
            Outcome::Pending => self.facts = Stamp::default(),
            // A retry takes it up again.
            Outcome::Failed => (self.facts, self.attempts) = (Stamp::default(), 0),
            _ => {
                let marks = if self.has(Marks::RESERVED) { Marks::RESERVED } else { Marks::NONE };
                self.byte = Cell { outcome: self.outcome(), marks }.to_byte();
                (self.facts, self.attempts) = (Stamp::default(), 0);
                self.was_sent &= self.outcome() == Outcome::Canceled;
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Purge {
    pub state: PurgeState,
    pub has_started: bool,
    /// A retry is to take up what failed.
    pub is_retried: bool,
}

/// What a search begins with.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// Conversations that are final from the beginning.
    pub lacks: Set,
    /// Ids that upstream lists once they are deleted.
    pub lists_gone: Set,
    /// Ids that upstream protects without telling.
    pub secret: Set,
    /// The most disturbances of a run.
    pub disturbances: usize,
    /// The database may go back once.
    pub goes_back: bool,
}

/// Everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pub ids: [Id; IDS],
    pub conversations: [Conversation; NAMES.len()],
    pub purges: [Purge; 2],
    pub jobs: [Option<Job>; JOBS],
    pub questions: [Option<Question>; REPLICAS],
    /// Upstream jobs that no replica and no row knows: what each may yet delete.
    pub unknown: [Set; 3],
    /// Rules are in force that retain everything.
    pub is_strict: bool,
    /// Answers have left something out that was there.
    pub has_hidden: bool,
    /// An upstream job went on for longer than the window of its lost submit.
    pub was_late: bool,
    pub ground: Ground,
}

impl State {
    /// Two purges were accepted, and nothing was asked yet.
    pub fn new(world: World) -> Self {
        let id = |number: usize| Id {
            truth: if world.secret.has(number) { Truth::Secret } else { Truth::Present },
            is_listed: world.lists_gone.has(number),
            is_hidden: false,
            is_held: false,
            is_promised: false,
            was_gone: false,
            was_carried: false,
            is_known_gone: false,
            is_known_kept: false,
            is_fate_open: false,
        };
        let conversation = Conversation {
            byte: Cell::NEW.to_byte(),
            facts: Stamp::default(),
            is_absence_old: false,
            attempts: 0,
            was_sent: false,
        };
        let purge = Purge { state: PurgeState::Queued, has_started: false, is_retried: false };
        let mut conversations = [conversation; NAMES.len()];
        let lacks = world.lacks;
        for number in lacks.iter() {
            conversations[number].byte = Cell { outcome: Outcome::NotFound, marks: Marks::NONE }.to_byte();
        }
        let is_lacking = |purge| (0..NAMES.len()).all(|number| NAMES[number].0 != purge || lacks.has(number));
        let ended = Purge { state: PurgeState::Completed, ..purge };
        Self {
            ids: std::array::from_fn(id),
            conversations,
            purges: [0, 1].map(|number| if is_lacking(number) { ended } else { purge }),
            jobs: [None; JOBS],
            questions: [None; REPLICAS],
            unknown: [Set(0); 3],
            is_strict: false,
            has_hidden: false,
            was_late: false,
            ground: if world.goes_back { Ground::Uncopied } else { Ground::Firm },
        }
    }

    /// The replicas that have a step in hand.
    pub fn under_way(&self) -> usize {
        let jobs = self.jobs.iter().flatten();
        let of_jobs = jobs.filter(|job| job.call.is_some() || job.look.is_some()).count();
        of_jobs + self.questions.iter().flatten().count()
    }

    pub fn purge_of(&self, conversation: usize) -> &Purge {
        &self.purges[NAMES[conversation].0]
    }

    /// Conversations that are so.
    pub fn conversations_with(&self, is_so: impl Fn(&Conversation) -> bool) -> Set {
        Set::of(NAMES.len(), |number| is_so(&self.conversations[number]))
    }

    /// A job that has the id, and whether it may delete it.
    pub fn is_carried_now(&self, id: usize) -> bool {
        self.jobs.iter().flatten().any(|job| job.may_delete() && job.carries_id(id))
    }

    /// Something of the id is still to be decided.
    pub fn is_open(&self, id: usize) -> bool {
        let is_open =
            |number: usize| NAMES[number].1 == id && !self.conversations[number].outcome().is_final();
        (0..NAMES.len()).any(is_open) || self.jobs.iter().flatten().any(|job| job.carries_id(id))
    }

    /// What is the same but for names and leftovers becomes the same state.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        let is_there = Set::of(IDS, |id| self.ids[id].truth == Truth::Present);
        for job in self.jobs.iter_mut().flatten() {
            job.forget_leftovers(is_there);
        }
        for question in self.questions.iter_mut().flatten() {
            question.answer.forget_all_but(question.about);
        }
        for unknown in &mut self.unknown {
            *unknown = unknown.and(is_there);
        }
        for conversation in &mut self.conversations {
            conversation.forget_leftovers();
        }
        for id in self.ids.iter_mut().filter(|id| id.truth == Truth::Gone) {
            (id.is_hidden, id.is_fate_open) = (false, false);
        }
        pieces::sort(&mut self.jobs);
        self.questions.sort_unstable();
        self.unknown.sort_unstable();
        self
    }
}
