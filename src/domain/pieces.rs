//! How a details query is cut into calls, and what happens to a piece without an answer.
//!
//! A failed piece is retried once, after the others: in halves if its ids failed in an earlier query. An answer lets
//! pieces grow again. An id that got no answer even alone is queried last and alone, so that it can't make the call of
//! other ids fail.

use std::collections::VecDeque;

use super::packing::halves;

/// So many calls without an answer in a row say something of upstream, nothing of what they asked about.
const FAILURES_IN_A_ROW: u32 = 4;

/// What is still to be asked.
#[derive(Debug)]
pub struct Pieces<Id> {
    /// The most ids that a call asks about.
    largest: usize,
    fresh: VecDeque<Group<Id>>,
    /// Halves of what upstream refuses as wrong, and what is asked again at once; the last is asked first.
    halved: Vec<Piece<Id>>,
    /// Pieces that failed once.
    aside: VecDeque<Piece<Id>>,
    /// Ids that failed alone in an earlier question.
    silent: VecDeque<Id>,
    failures_in_a_row: u32,
    failed: Vec<Piece<Id>>,
}

/// Ids of one past, cut as they are asked.
#[derive(Debug)]
struct Group<Id> {
    ids: VecDeque<Id>,
    size: usize,
    has_failed_before: bool,
}

/// What one call asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<Id> {
    pub ids: Vec<Id>,
    /// Its ids failed a question before.
    has_failed_before: bool,
    /// It is not asked once more.
    is_last_try: bool,
}

impl<Id> Piece<Id> {
    /// What is left of it without those that were told of.
    #[must_use]
    pub fn without(mut self, is_told: impl Fn(&Id) -> bool) -> Self {
        self.ids.retain(|id| !is_told(id));
        self
    }
}

impl<Id: Clone> Pieces<Id> {
    pub fn new(largest: usize) -> Self {
        Self {
            largest: largest.max(1),
            fresh: VecDeque::new(),
            halved: Vec::new(),
            aside: VecDeque::new(),
            silent: VecDeque::new(),
            failures_in_a_row: 0,
            failed: Vec::new(),
        }
    }

    /// Adds ids of which `fruitless` questions in a row had no answer: each halves their first piece.
    #[must_use]
    pub fn with(mut self, ids: impl IntoIterator<Item = Id>, fruitless: u32) -> Self {
        let ids: VecDeque<Id> = ids.into_iter().collect();
        if !ids.is_empty() {
            let size = self.largest.min(ids.len()).checked_shr(fruitless).unwrap_or_default().max(1);
            self.fresh.push_back(Group { ids, size, has_failed_before: fruitless > 0 });
        }
        self
    }

    /// Adds ids that failed alone in an earlier question.
    #[must_use]
    pub fn with_silent(mut self, ids: impl IntoIterator<Item = Id>) -> Self {
        self.silent.extend(ids);
        self
    }

    /// Nothing is left to ask.
    pub fn is_empty(&self) -> bool {
        self.halved.is_empty()
            && self.fresh.iter().all(|group| group.ids.is_empty())
            && self.aside.is_empty()
            && self.silent.is_empty()
    }

    /// There is no next piece: nothing is left, or upstream seems to answer nothing at all.
    pub fn is_over(&self) -> bool {
        self.failures_in_a_row >= FAILURES_IN_A_ROW || self.is_empty()
    }

    /// What the next call asks about.
    pub fn next_piece(&mut self) -> Option<Piece<Id>> {
        if self.is_over() {
            return None;
        }
        if let Some(piece) = self.halved.pop() {
            return Some(piece);
        }
        while let Some(group) = self.fresh.front_mut() {
            if group.ids.is_empty() {
                self.fresh.pop_front();
                continue;
            }
            let ids = group.ids.drain(..group.size.min(group.ids.len())).collect();
            return Some(Piece { ids, has_failed_before: group.has_failed_before, is_last_try: false });
        }
        if let Some(piece) = self.aside.pop_front() {
            return Some(Piece { is_last_try: true, ..piece });
        }
        let id = self.silent.pop_front()?;
        Some(Piece { ids: vec![id], has_failed_before: true, is_last_try: true })
    }

    /// The piece was answered.
    pub fn told(&mut self) {
        self.failures_in_a_row = 0;
        if let Some(group) = self.fresh.front_mut() {
            group.size = (group.size * 2).min(self.largest);
        }
    }

    /// The piece, or what an answer left of it, had no answer.
    pub fn failed(&mut self, piece: Piece<Id>) {
        self.failures_in_a_row += 1;
        if piece.is_last_try {
            self.failed.push(piece);
            return;
        }
        match halves(&piece.ids).filter(|_| piece.has_failed_before) {
            Some((first, second)) => {
                for half in [first, second] {
                    self.aside.push_back(Piece { ids: half.to_vec(), ..piece });
                }
            }
            None => self.aside.push_back(piece),
        }
    }

    /// The piece, or what an answer left of it, is asked about again at once.
    pub fn again(&mut self, piece: Piece<Id>) {
        self.halved.push(piece);
    }

    /// Upstream refuses the piece as wrong: it is halved, until an id is refused alone, which is handed back.
    pub fn refused(&mut self, piece: Piece<Id>) -> Option<Id> {
        self.failures_in_a_row = 0;
        if let Some((first, second)) = halves(&piece.ids) {
            self.halved.push(Piece { ids: second.to_vec(), ..piece });
            self.halved.push(Piece { ids: first.to_vec(), ..piece });
            return None;
        }
        piece.ids.into_iter().next()
    }

    /// What had no answer, piece by piece.
    pub fn without_answer(self) -> impl Iterator<Item = Vec<Id>> {
        self.failed.into_iter().chain(self.aside).map(|piece| piece.ids)
    }
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
