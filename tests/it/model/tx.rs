//! One step of the world: a transaction that commits, something that happens at upstream, or time that passes.
//!
//! What the invariants call wrong is noted on the way and told instead of the state that would follow.

use genesys_purge::domain::counts::Counts;
use genesys_purge::domain::findings::Finding;
use genesys_purge::domain::outcome::{Cell, Marks, Outcome};
use genesys_purge::domain::reason::{Reason, Step, codes};

use super::invariants::{Breach, Invariant, check};
use super::pieces::short;
use super::rules::Rules;
use super::state::{Answer, Conversation, First, Job, NAMES, Purge, Set, State, Told};

struct Decision {
    conversation: usize,
    from: Outcome,
    to: Outcome,
    reason: Reason,
}

pub struct Tx<'r> {
    pub state: State,
    pub rules: &'r Rules,
    decisions: Vec<Decision>,
    kept: Set,
    purges_before: [Purge; 2],
    breach: Option<Breach>,
}

impl<'r> Tx<'r> {
    pub const fn begin(state: &State, rules: &'r Rules) -> Self {
        Self {
            state: *state,
            rules,
            decisions: Vec::new(),
            kept: Set(0),
            purges_before: state.purges,
            breach: None,
        }
    }

    /// This must never be; the first of a step is told.
    pub fn breach(&mut self, invariant: Invariant, what: impl FnOnce() -> String) {
        self.breach.get_or_insert_with(|| Breach { invariant, what: what() });
    }

    pub fn cell(&self, conversation: usize) -> Cell {
        self.state.conversations[conversation].cell()
    }

    pub fn conversation(&mut self, number: usize) -> &mut Conversation {
        &mut self.state.conversations[number]
    }

    /// A job that is there.
    pub fn job(&mut self, number: usize) -> &mut Job {
        self.state.jobs[number].as_mut().unwrap()
    }

    /// The job is over; what waits for its answer has it, or never will.
    pub fn end(&mut self, number: usize) {
        let Some(job) = self.state.jobs[number].take() else { return };
        let was_taken = job.is_taken() && !job.has_conflicted;
        for rest in self.state.jobs.iter_mut().flatten() {
            if rest.after == Some(First::Job(short(number))) {
                rest.after = Some(First::Done { was_taken });
            }
        }
    }

    /// Changes an outcome, as `Patch::decide` does.
    pub fn decide(&mut self, step: Step, conversation: usize, from: Outcome, to: Outcome, reason: Reason) {
        let cell = self.cell(conversation);
        if cell.outcome != from || !(self.rules.may_become)(from, to) {
            let found = cell.outcome;
            self.breach(Invariant::Ends, || {
                format!("{step} can't decide: conversation {conversation} is {found}, not {from} -> {to}")
            });
        }
        let is_retried = step == Step::Retry && from == Outcome::Failed && to == Outcome::Pending;
        if cell.outcome.is_final() && !is_retried {
            let found = cell.outcome;
            self.breach(Invariant::OneOutcome, || {
                format!("{step}: conversation {conversation} was {found}, {to} follows")
            });
        }
        self.set(conversation, Cell { outcome: to, marks: cell.marks.without(Marks::ABSENT) });
        self.decisions.push(Decision { conversation, from, to, reason });
    }

    /// Notes beside the outcome that the conversation was seen gone, as `Patch::note_gone` does.
    pub fn note_gone(&mut self, conversation: usize) {
        let outcome = self.cell(conversation).outcome;
        self.mark(conversation, Marks::NONE, Marks::ABSENT);
        let reason = codes::GONE_LATE;
        self.decisions.push(Decision { conversation, from: outcome, to: outcome, reason });
    }

    /// Something stands against deleting it, whatever is decided, as `Patch::note_kept` notes it.
    pub fn note_kept(&mut self, conversation: usize) {
        self.kept.insert(conversation);
    }

    pub fn has_decided(&self, conversation: usize) -> bool {
        self.decisions.iter().any(|decision| decision.conversation == conversation)
    }

    pub fn mark(&mut self, conversation: usize, set: Marks, clear: Marks) {
        let cell = self.cell(conversation);
        self.set(conversation, Cell { marks: cell.marks.without(clear).with(set), ..cell });
    }

    fn set(&mut self, conversation: usize, cell: Cell) {
        self.state.conversations[conversation].byte = cell.to_byte();
    }

    /// An answer left it out for the first time.
    pub fn note_absent(&mut self, conversation: usize) {
        self.mark(conversation, Marks::ABSENT, Marks::NONE);
        self.conversation(conversation).is_absence_old = false;
        self.each_answer(|answer| answer.old_absences.remove(conversation));
    }

    /// Remembers what the service read of an id: upstream protects for ever here.
    pub fn learn(&mut self, id: usize, told: Told) {
        self.state.ids[id].is_known_kept |= told == Told::Held;
    }

    /// Changes every answer that a replica has in hand.
    pub fn each_answer(&mut self, mut change: impl FnMut(&mut Answer)) {
        self.state.questions.iter_mut().flatten().for_each(|question| change(&mut question.answer));
        let looks = self.state.jobs.iter_mut().flatten().filter_map(|job| job.look.as_mut());
        looks.for_each(|look| change(&mut look.answer));
    }

    /// Writes findings and ends purges, as `Patch::write` does; then everything is checked.
    pub fn commit(mut self) -> Result<State, Breach> {
        let may_finish = !self.decisions.is_empty() || self.state.purges != self.purges_before;
        for decision in std::mem::take(&mut self.decisions) {
            self.find_out(&decision);
        }
        if self.rules.notes_kept {
            self.kept.iter().for_each(|number| self.note(Finding::Kept, NAMES[number].0, NAMES[number].1));
        }
        for purge in (0..self.state.purges.len()).filter(|_| may_finish) {
            self.finish(purge);
        }
        let state = self.state.canonical();
        match self.breach.or_else(|| check(&state)) {
            Some(breach) => Err(breach),
            None => Ok(state),
        }
    }

    fn find_out(&mut self, decision: &Decision) {
        let (purge, id) = NAMES[decision.conversation];
        let is_carried = self.state.conversations[decision.conversation].has(Marks::CARRIED);
        let findings = (self.rules.findings)(decision.from, decision.to, &decision.reason.code, is_carried);
        match decision.to {
            Outcome::Purged | Outcome::AlreadyPurged => self.state.ids[id].is_known_gone = true,
            Outcome::Retained => self.state.ids[id].is_known_kept = true,
            _ => {}
        }
        for finding in findings {
            self.note(*finding, purge, id);
        }
    }

    /// Notes a finding of a purge, which outdates what others were told before.
    fn note(&mut self, finding: Finding, purge: usize, id: usize) {
        let same = Set::of(NAMES.len(), |number| NAMES[number].1 == id);
        match finding {
            Finding::Gone => {
                self.state.ids[id].was_gone = true;
                self.each_answer(|answer| answer.gone_since.insert(id));
                same.iter().for_each(|number| self.conversation(number).facts.gone_since = true);
            }
            // It matters to other purges that name the id, and to nobody else.
            Finding::Kept if same.iter().any(|number| NAMES[number].0 != purge) => {
                self.each_answer(|answer| answer.kept_since.insert(id));
                same.iter().for_each(|number| self.conversation(number).facts.kept_since = true);
            }
            Finding::Carried => self.state.ids[id].was_carried = true,
            Finding::Kept => {}
        }
    }

    /// As `finish` does for purges of which nothing is open.
    fn finish(&mut self, purge: usize) {
        let Self { state, rules, .. } = self;
        let standing = state.purges[purge];
        if standing.state.is_final() || standing.is_retried {
            return;
        }
        let mut counts = Counts::default();
        for (number, conversation) in state.conversations.iter().enumerate() {
            counts[conversation.outcome()] += i64::from(NAMES[number].0 == purge);
        }
        let Some(ended) = (rules.final_state)(&counts, standing.state) else { return };
        state.purges[purge].state = ended;
        if !standing.state.followers().contains(&ended) {
            let from = standing.state;
            self.breach(Invariant::OneOutcome, || format!("purge {purge} goes from {from} to {ended}"));
        }
    }
}
