//! Looks: claimed as `claim_look` does it, recorded as the files of `store/jobs/looks` do it.

use std::time::Duration;

use genesys_purge::domain::doubt::{Next, Reread};
use genesys_purge::domain::eligibility::Verdict;
use genesys_purge::domain::outcome::{Marks, Outcome};
use genesys_purge::domain::reason::{Step, codes};
use genesys_purge::domain::state::{JobState, PurgeState};
use genesys_purge::domain::verdict::{Leftover, Remedy, Sight};

use super::asking::{answer, facts, learn_fate, since, stamp, verdict};
use super::calling::ids_of;
use super::moves::Moves;
use super::packing::release;
use super::pieces::{Cause, split};
use super::state::{Answer, Job, Look, NAMES, Overdue, Set, State, Told, Wait};
use super::tx::Tx;

const MAX_ATTEMPTS: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Recheck,
    Reread,
    Verify,
    Overdue,
    Late,
}

/// The look that is the next step of a job, and what it is about, as the generated column `next_step` and
/// `LookKind::is_about` say it.
fn next_look(state: &State, job: &Job) -> Option<(Kind, Set)> {
    let carried = |outcome| {
        Set::of(NAMES.len(), |number| {
            job.carries.has(number) && state.conversations[number].outcome() == outcome
        })
    };
    let open = carried(Outcome::Submitted);
    let (kind, about) = match job.state {
        JobState::Waiting if job.wants_recheck && !state.ground.is_shut() => {
            (Kind::Recheck, carried(Outcome::Eligible))
        }
        JobState::InDoubt if job.wait >= Wait::Passed => (Kind::Reread, open),
        JobState::Submitted if job.overdue >= Overdue::Noted && !open.is_empty() => (Kind::Overdue, open),
        JobState::Verifying if !open.is_empty() => (Kind::Verify, open),
        JobState::Verifying => (Kind::Late, job.carries),
        _ => return None,
    };
    Some((kind, about.without(job.looked)))
}

pub fn moves(moves: &mut Moves<'_>) {
    let from = moves.from;
    for (number, job) in from.jobs.iter().enumerate() {
        let Some(job) = job else { continue };
        let Some((kind, about)) = next_look(&from, job) else { continue };
        if let Some(look) = job.look {
            moves.progress("a look is recorded", number, |tx| {
                tx.job(number).look = None;
                record(tx, number, kind, look);
            });
            moves.disturb("who looks dies", number, |tx| tx.job(number).look = None);
            continue;
        }
        if !moves.has_free_replica() {
            continue;
        }
        let look = Look { answer: answer(&from, about), wait: job.wait };
        moves.progress("a look is asked", number, |tx| tx.job(number).look = Some(look));
        if about.len() > 1 {
            untold(moves, number, look);
        }
    }
}

/// Only a part of the answer says anything.
fn untold(moves: &mut Moves<'_>, number: usize, look: Look) {
    for id in 0..look.answer.told.len() {
        let mut look = look;
        look.answer.told[id] = Told::Nothing;
        moves.disturb("a look is answered in part", number, |tx| tx.job(number).look = Some(look));
    }
}

fn record(tx: &mut Tx<'_>, number: usize, kind: Kind, look: Look) {
    learn_fates(tx, number, kind, look);
    match kind {
        Kind::Recheck => recheck(tx, number, look.answer),
        Kind::Reread => reread(tx, number, look.answer),
        Kind::Verify => {
            settle(tx, number, look);
            if open(tx, number).is_empty() {
                done(tx, number);
            }
        }
        Kind::Overdue => settle(tx, number, look),
        Kind::Late => late(tx, number, look),
    }
}

/// What the invariants remember: after the wait of an ended or lost job, what is there was not deleted by it. While ids of
/// a lost batch go on disappearing, nothing is known of the others.
fn learn_fates(tx: &mut Tx<'_>, number: usize, kind: Kind, look: Look) {
    let job = *tx.job(number);
    let shows_late = job.is_lost || job.overdue != Overdue::InTime;
    let is_known = match kind {
        Kind::Recheck | Kind::Overdue => return,
        Kind::Reread => true,
        Kind::Verify | Kind::Late => look.wait >= if shows_late { Wait::Over } else { Wait::Passed },
    };
    let mut has_gone = false;
    for conversation in open(tx, number).iter() {
        let was_absent = tx.cell(conversation).marks.has(Marks::ABSENT);
        has_gone |= match look.answer.told[NAMES[conversation].1] {
            Told::Gone => true,
            Told::Absent => was_absent && look.answer.old_absences.has(conversation),
            Told::Nothing | Told::Held | Told::Present => false,
        };
    }
    for id in ids_of(&job).iter() {
        if kind == Kind::Reread && has_gone {
            tx.state.ids[id].is_fate_open = true;
        } else if is_known && matches!(look.answer.told[id], Told::Present | Told::Held) {
            tx.state.ids[id].is_fate_open = false;
        }
    }
}

/// What of the job is still open.
fn open(tx: &Tx<'_>, number: usize) -> Set {
    let carries = tx.state.jobs[number].map_or(Set(0), |job| job.carries);
    carries.and(tx.state.conversations_with(|conversation| conversation.outcome() == Outcome::Submitted))
}

/// As `Settling::sight` reads it; `None` where nothing was told.
fn sight(tx: &mut Tx<'_>, number: usize, answer: Answer) -> Option<Sight> {
    let (id, told) = (NAMES[number].1, answer.told[NAMES[number].1]);
    if told == Told::Nothing {
        return None;
    }
    tx.learn(id, told);
    if told == Told::Held {
        tx.note_kept(number);
    }
    let marks = tx.cell(number).marks;
    let sight = (tx.rules.sight)(facts(told).as_ref(), marks, answer.old_absences.has(number));
    match sight {
        Sight::Present => tx.mark(number, Marks::NONE, Marks::ABSENT),
        Sight::AbsentOnce if !marks.has(Marks::ABSENT) => tx.note_absent(number),
        Sight::AbsentOnce | Sight::Gone => {}
    }
    Some(sight)
}

/// As `settle_ended` does it.
fn settle(tx: &mut Tx<'_>, number: usize, look: Look) {
    for conversation in open(tx, number).iter() {
        match sight(tx, conversation, look.answer) {
            Some(Sight::Gone) => {
                tx.decide(Step::Verify, conversation, Outcome::Submitted, Outcome::Purged, codes::GONE);
            }
            Some(Sight::Present) => {
                let leftover = leftover(tx, number, conversation, look);
                let Remedy::Decided(outcome, reason) = (tx.rules.remedy)(leftover) else { continue };
                tx.decide(Step::Verify, conversation, Outcome::Submitted, outcome, reason);
                tx.conversation(conversation).attempts += u8::from(outcome == Outcome::Eligible);
            }
            Some(Sight::AbsentOnce) | None => {}
        }
    }
}

fn leftover(tx: &mut Tx<'_>, number: usize, conversation: usize, look: Look) -> Leftover {
    let job = *tx.job(number);
    Leftover {
        since_end: match look.wait {
            Wait::Begun => Duration::ZERO,
            Wait::Passed => Duration::from_mins(5),
            Wait::Over => Duration::from_mins(10),
        },
        lag: Some(Duration::from_secs(30)),
        is_job_lost: job.is_lost,
        is_overdue: job.overdue >= Overdue::Noted,
        is_held: look.answer.told[NAMES[conversation].1] == Told::Held,
        attempts: u32::from(tx.state.conversations[conversation].attempts) + 1,
        max_attempts: MAX_ATTEMPTS,
        is_canceling: tx.state.purge_of(conversation).state == PurgeState::Canceling,
        verify_timeout: Duration::from_mins(10),
        resubmit_after: Duration::from_mins(1),
    }
}

/// Everything is let go, and the job is over.
fn done(tx: &mut Tx<'_>, number: usize) {
    let leaving = tx.job(number).carries;
    let_go(tx, number, leaving);
    tx.end(number);
}

/// Lets go, and has what a retry took up asked about afresh.
fn let_go(tx: &mut Tx<'_>, number: usize, leaving: Set) {
    for conversation in leaving.iter() {
        match tx.cell(conversation).outcome {
            Outcome::Eligible if !tx.has_decided(conversation) => {
                tx.decide(
                    Step::Verify,
                    conversation,
                    Outcome::Eligible,
                    Outcome::Pending,
                    codes::FACTS_STALE,
                );
            }
            Outcome::Pending => {
                let questions = &mut tx.state.questions;
                questions.iter_mut().flatten().for_each(|question| question.about.remove(conversation));
                questions
                    .iter_mut()
                    .filter(|question| question.is_some_and(|question| question.about.is_empty()))
                    .for_each(|question| *question = None);
            }
            _ => {}
        }
    }
    release(tx, number, leaving);
}

fn late(tx: &mut Tx<'_>, number: usize, look: Look) {
    let mut known = Set::default();
    for conversation in tx.job(number).carries.iter() {
        let outcome = tx.cell(conversation).outcome;
        let is_settled = matches!(outcome, Outcome::Purged | Outcome::AlreadyPurged);
        let is_known = is_settled
            || match sight(tx, conversation, look.answer) {
                Some(Sight::Gone) => {
                    if outcome.is_final() {
                        tx.note_gone(conversation);
                    }
                    true
                }
                Some(Sight::Present) => look.wait == Wait::Over,
                Some(Sight::AbsentOnce) | None => false,
            };
        if is_known {
            known.insert(conversation);
        }
    }
    let_go(tx, number, known);
    if tx.job(number).carries.is_empty() {
        tx.end(number);
    }
}

fn reread(tx: &mut Tx<'_>, number: usize, answer: Answer) {
    let (mut newly_gone, mut absent_once, mut untold) = (0, 0, 0);
    for conversation in open(tx, number).without(tx.job(number).looked).iter() {
        match sight(tx, conversation, answer) {
            Some(Sight::Gone) => {
                newly_gone += 1;
                let reason = codes::GONE_AFTER_LOST_SUBMIT;
                tx.decide(Step::Reread, conversation, Outcome::Submitted, Outcome::Purged, reason);
            }
            Some(Sight::Present) => tx.job(number).looked.insert(conversation),
            Some(Sight::AbsentOnce) => absent_once += 1,
            None => untold += 1,
        }
    }
    let still_open = open(tx, number);
    let job = *tx.job(number);
    let next = (tx.rules.after_reread)(Reread {
        newly_gone,
        absent_once,
        untold,
        present: still_open.and(job.looked).len(),
        is_past_deadline: job.is_past_deadline,
        losses: job.losses.into(),
    });
    match next {
        Next::LookAgainSoon | Next::AskTheRest => {}
        Next::ExtendWindow => (tx.job(number).looked, tx.job(number).wait) = (Set(0), Wait::Begun),
        Next::Finished => done(tx, number),
        Next::GiveUp => {
            for conversation in still_open.iter() {
                let reason = codes::SUBMIT_UNKNOWN;
                tx.decide(Step::Reread, conversation, Outcome::Submitted, Outcome::Failed, reason);
            }
            done(tx, number);
        }
        Next::SubmitAgain => submit_again(tx, number, false),
        Next::SubmitInHalves => submit_again(tx, number, true),
    }
}

fn submit_again(tx: &mut Tx<'_>, number: usize, in_halves: bool) {
    let mut leaving = Set::default();
    let open = open(tx, number);
    for conversation in tx.job(number).carries.iter() {
        let is_canceling = tx.state.purge_of(conversation).state == PurgeState::Canceling;
        if open.has(conversation) && !is_canceling {
            let reason = codes::PRESENT_AFTER_LOST_SUBMIT;
            tx.decide(Step::Reread, conversation, Outcome::Submitted, Outcome::Eligible, reason);
            continue;
        }
        if open.has(conversation) {
            tx.decide(Step::Reread, conversation, Outcome::Submitted, Outcome::Failed, codes::STILL_PRESENT);
        }
        leaving.insert(conversation);
    }
    let_go(tx, number, leaving);
    let job = tx.job(number);
    job.looked = Set(0);
    if job.carries.is_empty() {
        tx.end(number);
    } else if in_halves {
        split(tx, number, Cause::Lost);
    } else {
        (job.state, job.wants_recheck) = (JobState::Waiting, true);
    }
}

fn recheck(tx: &mut Tx<'_>, number: usize, answer: Answer) {
    let (mut leaving, mut untold) = (Set::default(), false);
    let job = *tx.job(number);
    for conversation in job.carries.without(job.looked).iter() {
        if answer.told[NAMES[conversation].1] == Told::Nothing {
            untold = true;
        } else if !stays(tx, number, conversation, answer) {
            leaving.insert(conversation);
        }
    }
    release(tx, number, leaving);
    let job = tx.job(number);
    if job.carries.is_empty() {
        tx.end(number);
    } else if !untold {
        (job.wants_recheck, job.is_rechecked, job.looked) = (false, true, Set(0));
    }
}

/// Judges one conversation of a recheck; what may no longer be deleted is decided.
fn stays(tx: &mut Tx<'_>, job: usize, number: usize, answer: Answer) -> bool {
    let (since, id) = (since(answer, number), NAMES[number].1);
    tx.learn(id, answer.told[id]);
    learn_fate(tx, id, answer);
    let decided = match verdict(tx, answer, number) {
        Verdict::Decided(outcome, _) if (tx.rules.outdates)(since, outcome) => {
            let reason = if since.gone { codes::PURGED_ELSEWHERE } else { codes::FACTS_STALE };
            (Outcome::Pending, reason)
        }
        Verdict::Decided(Outcome::Eligible, _) => {
            tx.conversation(number).facts = stamp(answer, number);
            tx.job(job).looked.insert(number);
            return true;
        }
        Verdict::Decided(outcome, reason) => (outcome, reason),
        Verdict::AbsentOnce => {
            tx.decide(Step::Recheck, number, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE);
            tx.note_absent(number);
            return false;
        }
    };
    tx.decide(Step::Recheck, number, Outcome::Eligible, decided.0, decided.1);
    false
}
