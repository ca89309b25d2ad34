//! Packs and intends, as `pack` and `intend` do; what a conversation is let go by, as `reserve::release` does.

use genesys_purge::domain::intent::{Check, Known};
use genesys_purge::domain::outcome::{Marks, Outcome};
use genesys_purge::domain::reason::{Step, codes};
use genesys_purge::domain::state::{JobState, PurgeState};

use super::invariants::Invariant;
use super::moves::Moves;
use super::pieces::{self, Standing};
use super::rules::Rules;
use super::state::{Call, IDS, Job, NAMES, SLOTS, Set, State, Wait};
use super::tx::Tx;

/// Large enough for everything.
pub const MAX_BATCH: usize = 500;

pub fn moves(moves: &mut Moves<'_>) {
    let from = moves.from;
    if !from.ground.is_shut() && has_room(&from, moves.rules()) {
        moves.progress("packs, the first purge first", 0, |tx| pack(tx, [0, 1]));
        moves.progress("packs, the second purge first", 1, |tx| pack(tx, [1, 0]));
    }
    for (number, job) in from.jobs.iter().enumerate() {
        let Some(job) = job else { continue };
        let is_due = job.state == JobState::Waiting
            && !job.wants_recheck
            && job.look.is_none()
            && !from.ground.is_shut();
        match pieces::standing(&from, job, moves.rules()) {
            _ if !is_due => {}
            None | Some(Standing::Tried) if moves.has_free_replica() => {
                moves.progress("an intent", number, |tx| intend(tx, number));
            }
            None | Some(Standing::Tried) => {}
            Some(standing) => pieces::moves(moves, number, standing),
        }
        // The intent was rolled back, and its call has left all the same.
        if is_due && moves.has_free_replica() && !moves.rules().commits_first {
            let ids = Set::of(IDS, |id| job.carries_id(id));
            moves.disturb("a call without an intent", number, |tx| tx.state.unknown[0] = ids);
        }
    }
}

/// As the statement `count_taken_slots` counts: a waiting job will take a slot, but for the children of another.
fn has_room(state: &State, rules: &Rules) -> bool {
    let taken = |job: &&Job| job.takes_slot() || job.state == JobState::Waiting && !job.is_child;
    (rules.has_slot)(state.jobs.iter().flatten().filter(taken).count(), SLOTS)
}

fn pack(tx: &mut Tx<'_>, turns: [usize; 2]) {
    let drawable = |tx: &Tx<'_>, purge: usize| {
        let of_purge =
            |number: &usize| NAMES[*number].0 == purge && tx.state.purges[purge].state.may_submit();
        let is_drawable = |number: &usize| (tx.rules.is_drawable)(&tx.cell(*number));
        (0..NAMES.len()).filter(of_purge).filter(is_drawable).collect::<Vec<_>>()
    };
    let candidates = turns.map(|purge| drawable(tx, purge));
    let shares = (tx.rules.shares)(&candidates.each_ref().map(Vec::len), MAX_BATCH);
    let drawn: Vec<usize> = candidates
        .iter()
        .zip(shares)
        .flat_map(|(numbers, take)| numbers.iter().copied().take(take))
        .collect();
    let (mut ids, mut carries) = (Set::default(), Set::default());
    for number in drawn {
        let id = NAMES[number].1;
        let is_reserved = tx.state.jobs.iter().flatten().any(|job| job.carries_id(id));
        // A job carries an id once, even where two purges brought it.
        if !ids.has(id) && (tx.rules.reserves)(is_reserved) {
            ids.insert(id);
            carries.insert(number);
            tx.mark(number, Marks::RESERVED, Marks::NONE);
        } else {
            tx.mark(number, Marks::ELSEWHERE, Marks::NONE);
        }
    }
    if carries.is_empty() {
        return;
    }
    match tx.state.jobs.iter_mut().find(|job| job.is_none()) {
        Some(free) => *free = Some(Job::waiting(carries)),
        None => tx.breach(Invariant::OneJob, || "more unfinished jobs than ids".to_owned()),
    }
}

/// Gives back what leaves a job, and lets its ids go.
pub fn release(tx: &mut Tx<'_>, job: usize, leaving: Set) {
    for number in leaving.iter() {
        tx.mark(number, Marks::NONE, Marks::RESERVED);
    }
    let job = tx.job(job);
    job.carries = job.carries.without(leaving);
    job.looked = job.looked.without(leaving);
    job.carried_before = job.carried_before.without(leaving);
}

/// A slot is free for the job, as `count_slots` counts.
pub fn has_slot(tx: &mut Tx<'_>, number: usize) -> bool {
    let job = *tx.job(number);
    let jobs = tx.state.jobs.iter().flatten();
    let taken = jobs.clone().filter(|job| job.takes_slot()).count();
    let by_children = jobs.filter(|job| job.takes_slot() && job.is_child).count();
    // Whether others can be packed makes no difference to a single slot.
    let is_let = !job.is_child || (tx.rules.slots_for_children)(SLOTS, by_children, true) > 0;
    (tx.rules.has_slot)(taken, SLOTS) && is_let
}

fn intend(tx: &mut Tx<'_>, number: usize) {
    let job = *tx.job(number);
    if !has_slot(tx, number) {
        return;
    }
    if job.is_rechecked && !job.carries.iter().all(|number| is_fresh(tx, number)) {
        tx.job(number).wants_recheck = true;
        return;
    }
    let mut leaving = Set::default();
    for conversation in job.carries.iter() {
        let check = (tx.rules.check)(known(tx, conversation));
        match check {
            Check::Stays => name(tx, number, conversation),
            Check::Leaves(decided) => {
                if let Some((outcome, reason)) = decided {
                    tx.decide(Step::Intend, conversation, Outcome::Eligible, outcome, reason);
                }
                leaving.insert(conversation);
            }
            Check::NotOurs => leaving.insert(conversation),
        }
    }
    release(tx, number, leaving);
    if tx.job(number).carries.is_empty() {
        tx.end(number);
        return;
    }
    let job = tx.job(number);
    (job.state, job.wait) = (JobState::Submitting, Wait::Begun);
    job.call = Some(Call::Committed { is_late: false });
}

/// As `Conditions::are_fresh` says it.
fn is_fresh(tx: &Tx<'_>, number: usize) -> bool {
    let facts = tx.state.conversations[number].facts;
    !(facts.is_stale || facts.is_early && tx.rules.heeds_early_facts)
}

/// As the statements `check_ids` and `purge_states` find it.
fn known(tx: &Tx<'_>, number: usize) -> Known {
    let conversation = &tx.state.conversations[number];
    Known {
        is_ours: true,
        is_gone_since: conversation.facts.gone_since,
        is_held: tx.state.ids[NAMES[number].1].is_held,
        purge: Some(tx.state.purge_of(number).state),
        is_kept_since: conversation.facts.kept_since,
        is_fresh: is_fresh(tx, number),
        marks: conversation.cell().marks,
    }
}

/// The intent names it.
fn name(tx: &mut Tx<'_>, job: usize, number: usize) {
    let (known, id) = (known(tx, number), tx.state.ids[NAMES[number].1]);
    let is_open = known.purge.is_some_and(PurgeState::may_submit);
    let against = [
        (known.is_held || id.is_promised, "it is held"),
        (known.is_gone_since || id.is_known_gone, "it is known to be gone"),
        (known.is_kept_since || id.is_known_kept, "something was found against deleting it"),
        (!known.is_fresh, "its facts are too old, or by other rules"),
        (!is_open, "its purge rests, or was canceled"),
    ];
    for (_, why) in against.into_iter().filter(|(is_so, _)| *is_so) {
        tx.breach(Invariant::Protected, || format!("an intent names conversation {number}, and {why}"));
    }
    let id = NAMES[number].1;
    if tx.state.ids[id].is_fate_open {
        tx.breach(Invariant::FateKnown, || format!("an intent names id {id}, and its last fate is open"));
    }
    tx.state.ids[id].is_fate_open = true;
    if known.marks.has(Marks::CARRIED) {
        tx.job(job).carried_before.insert(number);
    }
    tx.decide(Step::Intend, number, Outcome::Eligible, Outcome::Submitted, codes::INTENT);
    tx.mark(number, Marks::CARRIED, Marks::NONE);
}
