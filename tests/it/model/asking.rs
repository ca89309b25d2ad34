//! Questions for facts: claimed as `claim_slices` does it, recorded as `record_answers` does it.

use genesys_purge::domain::eligibility::{Evidence, Since, Verdict};
use genesys_purge::domain::facts::{End, Facts, Presence};
use genesys_purge::domain::outcome::{Cell, Marks, Outcome};
use genesys_purge::domain::reason::{Step, codes};
use genesys_purge::domain::retention::{Policy, UnknownAge};
use genesys_purge::domain::state::PurgeState;
use jiff::Timestamp;

use super::invariants::Invariant;
use super::moves::Moves;
use super::state::{Answer, Ground, IDS, NAMES, Question, Set, Stamp, State, Told, Truth};
use super::tx::Tx;

const NOW: i64 = 1_764_000_000;

/// All conversations ended so long ago.
const AGE: i64 = 400 * 24 * 60 * 60;

pub fn moves(moves: &mut Moves<'_>) {
    let from = moves.from;
    let is_leased =
        |number: usize| from.questions.iter().flatten().any(|question| question.about.has(number));
    let askable = Set::of(NAMES.len(), |number| {
        let is_open = matches!(from.purge_of(number).state, PurgeState::Queued | PurgeState::Running);
        is_open && !is_leased(number) && from.conversations[number].outcome() == Outcome::Pending
    });
    if moves.has_free_replica() && !askable.is_empty() && !from.ground.is_stopped() {
        let of = |purge| Set::of(NAMES.len(), |number| askable.has(number) && NAMES[number].0 == purge);
        let (first, second) = (of(0), of(1));
        ask(moves, askable);
        if !first.is_empty() && !second.is_empty() {
            ask(moves, first);
            ask(moves, second);
        }
    }
    for (number, question) in from.questions.iter().enumerate() {
        let Some(question) = *question else { continue };
        moves.progress("an answer is recorded", number, |tx| {
            tx.state.questions[number] = None;
            record(tx, question);
        });
        moves.disturb("who asks dies", number, |tx| tx.state.questions[number] = None);
    }
}

fn ask(moves: &mut Moves<'_>, about: Set) {
    let answer = answer(&moves.from, about);
    moves.progress("facts are asked", about.0.into(), |tx| {
        for number in about.iter() {
            let purge = &mut tx.state.purges[NAMES[number].0];
            (purge.state, purge.has_started) = (PurgeState::Running, true);
        }
        let free = tx.state.questions.iter_mut().find(|question| question.is_none());
        *free.unwrap() = Some(Question { about, answer });
    });
}

/// What a whole answer about these conversations tells now.
pub fn answer(state: &State, about: Set) -> Answer {
    let old_absences = Set::of(NAMES.len(), |number| state.conversations[number].is_absence_old);
    let mut answer = Answer { old_absences, ..Answer::default() };
    for id in about.iter().map(|number| NAMES[number].1) {
        answer.told[id] = match state.ids[id].truth {
            Truth::Present if state.ids[id].is_hidden => Told::Absent,
            Truth::Present | Truth::Secret => Told::Present,
            Truth::Held => Told::Held,
            Truth::Gone if state.ids[id].is_listed => Told::Gone,
            Truth::Gone => Told::Absent,
        };
    }
    answer
}

/// What was told of an id, as the driver hands it on.
pub fn facts(told: Told) -> Option<Facts> {
    let presence = match told {
        Told::Gone => Presence::Gone,
        Told::Held => Presence::Held,
        Told::Present => Presence::Present,
        Told::Nothing | Told::Absent => return None,
    };
    Some(Facts { presence, end: End::At(Timestamp::from_second(NOW - AGE).unwrap()) })
}

/// What the answer alone says of a conversation, by the rules in force when it was asked.
pub fn verdict(tx: &Tx<'_>, answer: Answer, number: usize) -> Verdict {
    let id = NAMES[number].1;
    let facts = facts(answer.told[id]);
    let known = &tx.state.ids[id];
    let evidence = Evidence {
        facts: facts.as_ref(),
        cell: tx.cell(number),
        is_absence_old_enough: answer.old_absences.has(number),
        is_held: known.is_held,
        was_carried_elsewhere: facts.is_none()
            && (known.was_gone || known.was_carried || tx.state.is_carried_now(id)),
    };
    let is_strict = tx.state.is_strict && !answer.is_of_old_rules;
    let policy = Policy { default_days: if is_strict { 3650 } else { 365 }, unknown_age: UnknownAge::Retain };
    (tx.rules.judge)(evidence, &policy, Timestamp::from_second(NOW).unwrap())
}

/// What purges have found out since the answer was asked for.
pub fn since(answer: Answer, number: usize) -> Since {
    let id = NAMES[number].1;
    Since { gone: answer.gone_since.has(id), kept: answer.kept_since.has(id) }
}

/// The stamp of facts that this answer told.
pub const fn stamp(answer: Answer, number: usize) -> Stamp {
    let id = NAMES[number].1;
    Stamp {
        gone_since: answer.gone_since.has(id),
        kept_since: answer.kept_since.has(id),
        is_stale: answer.is_of_old_rules,
        is_early: answer.is_early,
    }
}

fn record(tx: &mut Tx<'_>, question: Question) {
    let answer = question.answer;
    // Before anything is decided, as the engine reads it.
    let carried_now = Set::of(IDS, |id| tx.state.is_carried_now(id));
    for number in question.about.iter() {
        let (cell, id) = (tx.cell(number), NAMES[number].1);
        if cell.outcome != Outcome::Pending || answer.told[id] == Told::Nothing {
            continue;
        }
        tx.learn(id, answer.told[id]);
        learn_fate(tx, id, answer);
        tx.conversation(number).facts = stamp(answer, number);
        match verdict(tx, answer, number) {
            Verdict::Decided(outcome, _) if (tx.rules.outdates)(since(answer, number), outcome) => {}
            Verdict::Decided(outcome, _) if (tx.rules.keeps)(outcome) && carried_now.has(id) => {
                tx.note_kept(number);
                if cell.marks.has(Marks::RESERVED) {
                    tx.decide(
                        Step::Validate,
                        number,
                        Outcome::Pending,
                        Outcome::Eligible,
                        codes::STILL_CARRIED,
                    );
                }
            }
            Verdict::Decided(outcome, reason) => {
                is_never_kept(tx, (number, outcome), answer, carried_now.has(id));
                tx.decide(Step::Validate, number, Outcome::Pending, outcome, reason);
            }
            Verdict::AbsentOnce => absent_once(tx, number, cell),
        }
    }
}

/// What is there once the window of a forgotten submit has passed was not deleted by it.
pub fn learn_fate(tx: &mut Tx<'_>, id: usize, answer: Answer) {
    let is_over =
        matches!(tx.state.ground, Ground::Back { .. }) && !answer.is_early && !tx.state.ground.has_window();
    if is_over && matches!(answer.told[id], Told::Present | Told::Held) && !tx.state.is_carried_now(id) {
        tx.state.ids[id].is_fate_open = false;
    }
}

fn absent_once(tx: &mut Tx<'_>, number: usize, cell: Cell) {
    if !cell.marks.has(Marks::ABSENT) {
        tx.note_absent(number);
    }
}

/// What is known to be gone, or what a job may delete yet, is never called kept.
fn is_never_kept(tx: &mut Tx<'_>, (number, outcome): (usize, Outcome), answer: Answer, is_carried_now: bool) {
    let is_kept =
        matches!(outcome, Outcome::OnHold | Outcome::Retained | Outcome::Active | Outcome::NotFound);
    let is_gone = answer.gone_since.has(NAMES[number].1);
    if is_kept && (is_gone || is_carried_now) {
        let why = if is_gone { "it is known to be gone" } else { "a job may delete it" };
        tx.breach(Invariant::NotKept, || format!("conversation {number} ends {outcome}, and {why}"));
    }
}
