//! The pieces of a search for what upstream protects and does not name: a batch is cut as `split` does it, what is left of it
//! stands as the views `search_pieces` and `search_pieces_held_back` say, and goes on as `make_piece` does it. How often a
//! piece was put off is left out, and so is the age of pieces: any of them may go next.

use std::collections::BTreeSet;

use genesys_purge::domain::outcome::Outcome;
use genesys_purge::domain::packing::halves;
use genesys_purge::domain::reason::{Step, codes};
use genesys_purge::domain::search::Seen;
use genesys_purge::domain::state::JobState;

use super::calling::are_protected;
use super::moves::Moves;
use super::packing::{MAX_BATCH, has_slot, release};
use super::rules::Rules;
use super::state::{First, JOBS, Job, NAMES, Set, State};
use super::tx::Tx;

/// What is known of a piece that is not submitted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It goes as it is.
    Tried,
    Waits,
    Conflicts,
    Unknown,
}

/// What became of the first half of a rest.
#[derive(Debug, Clone, Copy)]
pub struct FirstHalf {
    /// Upstream took it as it was.
    pub was_taken: bool,
    /// It waits, or its submit is under way.
    pub is_ahead: bool,
}

impl FirstHalf {
    /// As the view says it.
    pub const fn standing(self) -> Standing {
        match self {
            Self { was_taken: true, .. } => Standing::Conflicts,
            Self { is_ahead: true, .. } => Standing::Waits,
            Self { .. } => Standing::Unknown,
        }
    }
}

/// Why a batch goes on in halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Conflict,
    Lost,
}

/// How a waiting piece stands; none if the job is not one.
pub fn standing(state: &State, job: &Job, rules: &Rules) -> Option<Standing> {
    job.search?;
    if !matches!(job.state, JobState::Waiting | JobState::Submitting) {
        return None;
    }
    let first = match job.after {
        None => return Some(Standing::Tried),
        Some(First::Done { was_taken }) => FirstHalf { was_taken, is_ahead: false },
        Some(First::Job(first)) => state.jobs[usize::from(first)].map_or_else(
            || unreachable!("a job that is over has told those that wait for it"),
            |first| FirstHalf {
                was_taken: first.is_taken() && !first.has_conflicted,
                is_ahead: matches!(first.state, JobState::Waiting | JobState::Submitting),
            },
        ),
    };
    Some((rules.standing)(first))
}

fn is_held_back(state: &State, job: &Job, standing_of: Standing, rules: &Rules) -> bool {
    let is_tried = |other: &Job| {
        let standing = standing(state, other, rules);
        other.search == job.search && matches!(standing, Some(Standing::Tried | Standing::Conflicts))
    };
    (rules.holds_back)(standing_of, state.jobs.iter().flatten().any(is_tried))
}

/// A rest becomes the piece that is submitted next. How large a piece of the unknown is depends on how many of the search
/// were protected; here it is of any size that this may lead to.
pub fn moves(moves: &mut Moves<'_>, number: usize, standing: Standing) {
    let from = moves.from;
    let Some(job) = from.jobs[number] else { return };
    if is_held_back(&from, &job, standing, moves.rules()) {
        return;
    }
    let half = first_half(job.carries).len().max(1);
    let sizes = if standing == Standing::Unknown { sizes(moves.rules()) } else { BTreeSet::from([half]) };
    for size in sizes {
        moves.progress("a piece is made", number, |tx| {
            if has_slot(tx, number) {
                make_piece(tx, number, standing, size);
            }
        });
    }
}

fn sizes(rules: &Rules) -> BTreeSet<usize> {
    let seen = (0..4).flat_map(|offenders| (0..4).map(move |cleared| Seen { offenders, cleared }));
    seen.map(|seen| (rules.piece_size)(seen, MAX_BATCH)).collect()
}

fn make_piece(tx: &mut Tx<'_>, number: usize, standing: Standing, size: usize) {
    let job = *tx.job(number);
    if !tx.rules.judges_alone && standing == Standing::Conflicts && job.carries.len() == 1 {
        are_protected(tx, job.carries);
        let reason = codes::UPSTREAM_CONFLICT;
        job.carries.iter().for_each(|conversation| {
            tx.decide(Step::Pack, conversation, Outcome::Eligible, Outcome::OnHold, reason.clone());
        });
        release(tx, number, job.carries);
        return tx.end(number);
    }
    if job.carries.len() > size {
        cut(tx, number, standing, size);
    } else if standing == Standing::Unknown {
        fill(tx, number, size);
    }
    if let Some(job) = tx.state.jobs[number].as_mut().filter(|job| job.carries.len() <= size) {
        job.after = None;
    }
}

fn cut(tx: &mut Tx<'_>, number: usize, standing: Standing, size: usize) {
    let piece = *tx.job(number);
    let kept = first_of(piece.carries, size);
    let after = match standing {
        Standing::Conflicts => Some(First::Job(short(number))),
        _ => piece.after,
    };
    let job = tx.job(number);
    (job.carries, job.looked) = (kept, job.looked.and(kept));
    job.carried_before = job.carried_before.and(kept);
    if kept.is_empty() {
        tx.end(number);
    }
    let rest = Job { search: piece.search, after, ..Job::waiting(Set(0)) };
    branch(tx, &piece, piece.carries.without(kept), rest);
}

/// Takes what other searches, or other rests of this one, have left.
fn fill(tx: &mut Tx<'_>, number: usize, size: usize) {
    let rules = tx.rules;
    if tx.job(number).losses > 0 {
        return;
    }
    for other in (0..JOBS).filter(|&other| other != number) {
        let Some(job) = tx.state.jobs[other] else { continue };
        let room = size.saturating_sub(tx.job(number).carries.len());
        let may_go = job.state == JobState::Waiting && !job.wants_recheck && job.losses == 0;
        let is_unknown = standing(&tx.state, &job, rules) == Some(Standing::Unknown);
        if room == 0 || !may_go || !is_unknown || is_held_back(&tx.state, &job, Standing::Unknown, rules) {
            continue;
        }
        let taken = first_of(job.carries, room);
        let piece = tx.job(number);
        piece.carries = piece.carries.with(taken);
        piece.carried_before = piece.carried_before.with(job.carried_before.and(taken));
        if rules.hands_on {
            let left = tx.job(other);
            (left.carries, left.looked) = (job.carries.without(taken), job.looked.without(taken));
            left.carried_before = job.carried_before.without(taken);
        }
        if tx.job(other).carries.is_empty() {
            tx.end(other);
        }
    }
}

/// Nothing, of a single one.
fn first_half(carries: Set) -> Set {
    let carried: Vec<usize> = carries.iter().collect();
    first_of(carries, halves(&carried).map_or(0, |(first, _)| first.len()))
}

fn first_of(carries: Set, size: usize) -> Set {
    Set::of(NAMES.len(), |number| carries.iter().take(size).any(|taken| taken == number))
}

/// Hands what a job carries on to two children, and ends it.
pub fn split(tx: &mut Tx<'_>, number: usize, cause: Cause) {
    let parent = *tx.job(number);
    let first = first_half(parent.carries);
    tx.end(number);
    let is_unused = |search: &u8| tx.state.jobs.iter().flatten().all(|job| job.search != Some(*search));
    let own = (0..short(JOBS)).find(is_unused);
    let search = if cause == Cause::Conflict { parent.search.or(own) } else { parent.search };
    let wants_recheck = cause == Cause::Lost;
    let child = Job { wants_recheck, search, ..Job::waiting(Set(0)) };
    let tried = branch(tx, &parent, first, child);
    let after = (cause == Cause::Conflict).then_some(First::Job(short(tried)));
    branch(tx, &parent, parent.carries.without(first), Job { after, ..child });
}

/// A child with what it has of its parent.
fn branch(tx: &mut Tx<'_>, parent: &Job, carries: Set, child: Job) -> usize {
    let child = Job {
        carries,
        is_child: true,
        is_rechecked: parent.is_rechecked,
        losses: parent.losses,
        is_past_deadline: parent.is_past_deadline,
        carried_before: parent.carried_before.and(carries),
        ..child
    };
    let free = tx.state.jobs.iter().position(Option::is_none);
    let free = free.unwrap_or_else(|| unreachable!("no more jobs than ids, and each has one at least"));
    tx.state.jobs[free] = Some(child);
    free
}

/// Jobs, and searches, that differ in nothing but their number are the same.
pub fn sort(jobs: &mut [Option<Job>; JOBS]) {
    let mut order: [usize; JOBS] = std::array::from_fn(|number| number);
    order.sort_by_key(|&number| jobs[number].map(|job| job.carries));
    let place = |job: u8| order.iter().position(|&number| short(number) == job).map_or(job, short);
    let awaited = jobs.each_ref().map(|job| job.and_then(|job| job.after));
    let mut sorted: [Option<Job>; JOBS] = std::array::from_fn(|place| jobs[order[place]]);
    let mut searches: Vec<u8> = Vec::new();
    for (number, job) in sorted.iter_mut().enumerate() {
        let Some(job) = job else { continue };
        // How a submit of it ended matters to those that wait for it.
        job.has_conflicted &= awaited.contains(&Some(First::Job(short(order[number]))));
        if let Some(First::Job(first)) = job.after {
            job.after = Some(First::Job(place(first)));
        }
        job.search = job.search.map(|search| {
            let known = searches.iter().position(|&known| known == search);
            short(known.unwrap_or_else(|| {
                searches.push(search);
                searches.len() - 1
            }))
        });
    }
    *jobs = sorted;
}

pub fn short(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}
