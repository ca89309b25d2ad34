//! The search: every state that can be reached, breadth first, so that the trace to a breach is a shortest one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::invariants::{Breach, Invariant};
use super::moves::{Label, moves};
use super::rules::Rules;
use super::state::{State, World};

/// Multiplies and folds: states are many, and nobody chooses them to collide.
#[derive(Default)]
pub struct Folding(u64);

impl Hasher for Folding {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_ne_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// How a state was reached first.
#[derive(Clone, Copy)]
struct Way {
    from: usize,
    label: Option<Label>,
}

/// What a search came to.
pub struct Found {
    pub states: usize,
    pub transitions: usize,
    /// The first breach, and what leads to it.
    pub breach: Option<(Breach, Vec<String>)>,
}

#[derive(Default)]
struct Search {
    known: HashMap<State, usize, BuildHasherDefault<Folding>>,
    /// In the order in which they were found.
    ways: Vec<Way>,
    /// Which states lead to which without a disturbance: the latter, then the former.
    progress: Vec<(u32, u32)>,
    transitions: usize,
}

/// Visits everything that can be reached: first what can be without any disturbance, then what one more leads to.
pub fn search(rules: &Rules, world: World) -> Found {
    let mut search = Search::default();
    let first = State::new(world);
    search.known.insert(first, 0);
    search.ways.push(Way { from: 0, label: None });
    let mut level = vec![first];
    for disturbances in 0..=world.disturbances {
        let is_last = disturbances == world.disturbances;
        let (mut line, mut disturbed) = (std::mem::take(&mut level), Vec::new());
        while !line.is_empty() {
            let mut next = Vec::new();
            for state in &line {
                if let Err(breach) = search.visit(state, rules, !is_last, &mut next, &mut disturbed) {
                    return search.found(Some(breach));
                }
            }
            line = next;
        }
        level = search.new_among(disturbed);
    }
    let breach = search.without_end().map(|(state, number)| {
        let what = format!("nothing leads to an end from {state:#?}");
        (Breach { invariant: Invariant::Ends, what }, search.trace(number))
    });
    search.found(breach)
}

impl Search {
    /// Tells what is new: what follows from the state by itself, and what a disturbance makes of it.
    fn visit(
        &mut self,
        state: &State,
        rules: &Rules,
        with_disturbances: bool,
        next_states: &mut Vec<State>,
        disturbed: &mut Vec<(State, Way)>,
    ) -> Result<(), (Breach, Vec<String>)> {
        let number = self.known[state];
        let mut is_stuck = !is_end(state);
        for next in moves(state, rules, with_disturbances) {
            self.transitions += 1;
            let way = Way { from: number, label: Some(next.label) };
            let to = next.to.map_err(|breach| {
                let mut trace = self.trace(number);
                trace.push(told(next.label));
                (breach, trace)
            })?;
            if !next.is_progress {
                disturbed.push((to, way));
                continue;
            }
            is_stuck = false;
            let (known, is_new) = self.find(&to, way);
            if is_new {
                next_states.push(to);
            }
            self.progress.push((short(known), short(number)));
        }
        if is_stuck {
            let what = format!("nothing goes on in {state:#?}");
            return Err((Breach { invariant: Invariant::Ends, what }, self.trace(number)));
        }
        Ok(())
    }

    /// What was found by nothing but a disturbance.
    fn new_among(&mut self, disturbed: Vec<(State, Way)>) -> Vec<State> {
        disturbed.into_iter().filter_map(|(state, way)| self.find(&state, way).1.then_some(state)).collect()
    }

    fn find(&mut self, state: &State, way: Way) -> (usize, bool) {
        let found = self.ways.len();
        let known = *self.known.entry(*state).or_insert(found);
        if known == found {
            self.ways.push(way);
        }
        (known, known == found)
    }

    /// A state from which nothing that goes on by itself leads to one in which both purges are final and no job is left.
    fn without_end(&mut self) -> Option<(State, usize)> {
        let mut ends = vec![false; self.ways.len()];
        let mut line: Vec<u32> = Vec::new();
        for (_, &number) in self.known.iter().filter(|(state, _)| is_end(state)) {
            ends[number] = true;
            line.push(short(number));
        }
        self.progress.sort_unstable();
        while let Some(number) = line.pop() {
            let first = self.progress.partition_point(|(to, _)| *to < number);
            for &(_, from) in self.progress[first..].iter().take_while(|(to, _)| *to == number) {
                if !std::mem::replace(&mut ends[from as usize], true) {
                    line.push(from);
                }
            }
        }
        let stuck = ends.iter().position(|&is_end| !is_end)?;
        self.known.iter().find(|&(_, &number)| number == stuck).map(|(state, &number)| (*state, number))
    }

    /// What leads to a state.
    fn trace(&self, mut number: usize) -> Vec<String> {
        let mut trace = Vec::new();
        while let Way { from, label: Some(label) } = self.ways[number] {
            trace.push(told(label));
            number = from;
        }
        trace.reverse();
        trace
    }

    fn found(&self, breach: Option<(Breach, Vec<String>)>) -> Found {
        Found { states: self.ways.len(), transitions: self.transitions, breach }
    }
}

/// Both purges are final, and no job is left.
fn is_end(state: &State) -> bool {
    state.purges.iter().all(|purge| purge.state.is_final()) && state.jobs.iter().all(Option::is_none)
}

fn told(label: Label) -> String {
    format!("{} ({})", label.what, label.number)
}

fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap()
}
