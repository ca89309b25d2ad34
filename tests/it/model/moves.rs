//! What may happen next in a state: what goes on by itself, and the disturbances, of which there are so many in a run.

use super::invariants::Breach;
use super::rules::Rules;
use super::state::{REPLICAS, State};
use super::tx::Tx;
use super::{asking, calling, looking, packing, rewinding, steering, upstream, waiting};

/// What happened, and to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    pub what: &'static str,
    pub number: usize,
}

pub struct Next {
    pub label: Label,
    /// It goes on by itself; else it is a disturbance.
    pub is_progress: bool,
    pub to: Result<State, Breach>,
}

pub struct Moves<'r> {
    pub from: State,
    rules: &'r Rules,
    with_disturbances: bool,
    next: Vec<Next>,
}

impl Moves<'_> {
    /// A replica is free to begin a step.
    pub fn has_free_replica(&self) -> bool {
        self.from.under_way() < REPLICAS
    }

    pub const fn rules(&self) -> &Rules {
        self.rules
    }

    /// Goes on by itself.
    pub fn progress(&mut self, what: &'static str, number: usize, step: impl FnOnce(&mut Tx<'_>)) {
        self.add(Label { what, number }, true, step);
    }

    /// Happens so often in a run and no oftener.
    pub fn disturb(&mut self, what: &'static str, number: usize, step: impl FnOnce(&mut Tx<'_>)) {
        if self.with_disturbances {
            self.add(Label { what, number }, false, step);
        }
    }

    fn add(&mut self, label: Label, is_progress: bool, step: impl FnOnce(&mut Tx<'_>)) {
        let mut tx = Tx::begin(&self.from, self.rules);
        step(&mut tx);
        let to = tx.commit();
        if !matches!(&to, Ok(state) if *state == self.from) {
            self.next.push(Next { label, is_progress, to });
        }
    }
}

/// Everything that may happen next.
pub fn moves(from: &State, rules: &Rules, with_disturbances: bool) -> Vec<Next> {
    let mut moves = Moves { from: *from, rules, with_disturbances, next: Vec::new() };
    asking::moves(&mut moves);
    packing::moves(&mut moves);
    calling::moves(&mut moves);
    looking::moves(&mut moves);
    steering::moves(&mut moves);
    upstream::moves(&mut moves);
    waiting::moves(&mut moves);
    rewinding::moves(&mut moves);
    moves.next
}
