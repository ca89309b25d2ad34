//! Queries until every id has an answer, against an upstream that fails in different ways.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// Some ids, as the questions about them went.
struct Open {
    ids: BTreeSet<u32>,
    silent: BTreeSet<u32>,
    fruitless: u32,
    /// The sizes of all calls.
    calls: Vec<usize>,
}

impl Open {
    fn new(ids: u32) -> Self {
        Self { ids: (0..ids).collect(), silent: BTreeSet::new(), fruitless: 0, calls: Vec::new() }
    }

    /// One question; tells what was answered.
    fn ask(&mut self, largest: usize, mut is_answered: impl FnMut(&[u32]) -> bool) -> usize {
        let calm: Vec<u32> = self.ids.difference(&self.silent).copied().collect();
        let mut pieces =
            Pieces::new(largest).with(calm, self.fruitless).with_silent(self.silent.iter().copied());
        let mut told = 0;
        while let Some(piece) = pieces.next_piece() {
            self.calls.push(piece.ids.len());
            if is_answered(&piece.ids) {
                told += piece.ids.len();
                for id in &piece.ids {
                    self.ids.remove(id);
                }
                pieces.told();
            } else {
                pieces.failed(piece);
            }
        }
        let failed: Vec<Vec<u32>> = pieces.without_answer().collect();
        self.silent.extend(failed.iter().filter(|piece| piece.len() == 1).flatten());
        let is_alone = failed.iter().all(|piece| piece.len() == 1);
        self.fruitless = match (is_alone, told) {
            (true, _) => 0,
            (false, 0) => self.fruitless + 1,
            (false, _) => self.fruitless,
        };
        told
    }
}

#[test]
fn a_piece_that_fails_does_not_end_the_question() {
    let mut open = Open::new(1000);
    let mut number = 0;
    let told = open.ask(100, |_| {
        number += 1;
        number % 4 != 2
    });
    assert_eq!(told, 1000);
    assert!(open.calls.iter().all(|size| *size == 100), "nothing shrank: {:?}", open.calls);
    assert_eq!(open.calls.len(), 13);
}

#[test]
fn a_quarter_of_calls_that_fail_at_random_costs_calls_and_shrinks_next_to_nothing() {
    for seed in 0..20 {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut open = Open::new(10_000);
        let mut questions = 0;
        while !open.ids.is_empty() {
            open.ask(500, |_| chance.random_bool(0.75));
            questions += 1;
            assert!(questions < 20, "seed {seed}: {} are left", open.ids.len());
        }
        assert!(open.calls.len() < 60, "seed {seed}: {:?}", open.calls);
    }
}

#[test]
fn an_id_that_makes_calls_fail_stands_alone_before_long_and_the_others_are_told() {
    for poison in [0, 1, 250, 498, 499] {
        let mut open = Open::new(500);
        let mut questions = 0;
        while open.ids.len() > 1 {
            open.ask(500, |ids| !ids.contains(&poison));
            questions += 1;
            assert!(questions < 15, "poison at {poison}: {} are left", open.ids.len());
        }
        open.ask(500, |ids| !ids.contains(&poison));
        assert_eq!(open.silent, BTreeSet::from([poison]));
        assert!(open.calls.len() < 50, "poison at {poison}: {:?}", open.calls);
        // From then on it makes nobody else's call fail.
        open.ids.extend(1000..1500);
        let before = open.calls.len();
        assert_eq!(open.ask(500, |ids| !ids.contains(&poison)), 500);
        assert_eq!(open.calls[before..], [500, 1]);
    }
}

#[test]
fn an_upstream_that_answers_nobody_costs_few_calls_and_what_shrank_grows_again() {
    let mut open = Open::new(500);
    for _ in 0..12 {
        let before = open.calls.len();
        assert_eq!(open.ask(500, |_| false), 0);
        assert!(open.calls.len() - before <= 4, "{:?}", &open.calls[before..]);
    }
    let before = open.calls.len();
    assert!(open.ask(500, |_| true) >= 490);
    assert!(open.calls.len() - before <= 9 + open.silent.len() + 1, "{:?}", &open.calls[before..]);
}

#[test]
fn what_upstream_refuses_is_halved_until_one_id_is_left() {
    let mut pieces = Pieces::new(8).with(0..8, 0);
    let (mut refused, mut told) = (Vec::new(), Vec::new());
    while let Some(piece) = pieces.next_piece() {
        if piece.ids.contains(&5) {
            refused.extend(pieces.refused(piece));
        } else {
            told.extend(piece.ids);
            pieces.told();
        }
    }
    told.sort_unstable();
    assert_eq!((refused, told), (vec![5], vec![0, 1, 2, 3, 4, 6, 7]));
    assert_eq!(pieces.without_answer().count(), 0);
}
