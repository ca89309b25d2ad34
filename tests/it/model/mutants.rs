//! Rules that are wrong on purpose, each with the invariant that it breaks.

use std::time::Duration;

use genesys_purge::domain::act::Act;
use genesys_purge::domain::doubt::{self, Next, Reread};
use genesys_purge::domain::eligibility::{self, Evidence};
use genesys_purge::domain::intent::{self, Known};
use genesys_purge::domain::outcome::{Marks, Outcome};
use genesys_purge::domain::reason::codes;
use genesys_purge::domain::state::PurgeState;
use genesys_purge::domain::verdict::{self, Leftover, Remedy, Sight};

use super::invariants::Invariant::{self, *};
use super::pieces::Standing;
use super::rules::Rules;
use super::state::World;
use super::worlds::{BATCH, ONE, SHARED, back, searched};

pub struct Mutant {
    pub what: &'static str,
    pub breaks: Invariant,
    pub world: World,
    pub rules: Rules,
}

const fn mutant(what: &'static str, breaks: Invariant, world: World, rules: Rules) -> Mutant {
    Mutant { what, breaks, world, rules }
}

const REAL: Rules = Rules::REAL;

/// What is wrong about the intent and the call.
pub const OF_SUBMITTING: &[Mutant] = &[
    mutant(
        "an intent does not ask for holds",
        Protected,
        ONE,
        Rules { check: |known| intent::check(Known { is_held: false, ..known }), ..REAL },
    ),
    mutant(
        "an intent does not ask what was found to be kept",
        Protected,
        SHARED,
        Rules { check: |known| intent::check(Known { is_kept_since: false, ..known }), ..REAL },
    ),
    mutant(
        "an intent does not ask what was found to be gone",
        Protected,
        SHARED,
        Rules { check: |known| intent::check(Known { is_gone_since: false, ..known }), ..REAL },
    ),
    mutant(
        "an intent takes facts of any age and any rules",
        Protected,
        ONE,
        Rules { check: |known| intent::check(Known { is_fresh: true, ..known }), ..REAL },
    ),
    mutant(
        "an intent does not ask where the purge stands",
        Protected,
        ONE,
        Rules { check: |known| intent::check(Known { purge: Some(PurgeState::Running), ..known }), ..REAL },
    ),
    mutant("a late call is made", InTime, ONE, Rules { may_call: |_| true, ..REAL }),
    mutant("the call comes before the commit", IntentFirst, ONE, Rules { commits_first: false, ..REAL }),
    mutant("silence is taken for a no", IntentFirst, ONE, Rules { keeps_doubt: false, ..REAL }),
    mutant("ids are reserved twice", OneJob, SHARED, Rules { reserves: |_| true, ..REAL }),
    mutant("slots are not counted", Slots, BATCH, Rules { has_slot: |_, _| true, ..REAL }),
];

/// What is wrong about what follows a submit.
pub const OF_LOOKING: &[Mutant] = &[
    mutant(
        "the window is as short as the grace",
        IntentFirst,
        ONE,
        Rules { window: |grace, _, _| doubt::window(grace, None, Duration::ZERO), ..REAL },
    ),
    mutant(
        "the window leaves out how late deletions show",
        IntentFirst,
        ONE,
        Rules { window: |grace, longest, _| doubt::window(grace, longest, Duration::ZERO), ..REAL },
    ),
    mutant(
        "the rest goes again while ids disappear",
        FateKnown,
        BATCH,
        Rules { after_reread: |reread| doubt::after_reread(Reread { newly_gone: 0, ..reread }), ..REAL },
    ),
    mutant(
        "what nobody told of goes again",
        FateKnown,
        BATCH,
        Rules {
            after_reread: |reread| match doubt::after_reread(reread) {
                Next::AskTheRest if reread.present > 0 => Next::SubmitAgain,
                next => next,
            },
            ..REAL
        },
    ),
    mutant(
        "a lost submit is looked at for ever",
        Ends,
        ONE,
        Rules {
            after_reread: |reread| match doubt::after_reread(reread) {
                Next::SubmitAgain => Next::AskTheRest,
                next => next,
            },
            ..REAL
        },
    ),
    mutant(
        "two absences need no gap",
        SeenGone,
        ONE,
        Rules { sight: |facts, marks, _| verdict::sight(facts, marks, true), ..REAL },
    ),
    mutant(
        "could not tell is gone",
        SeenGone,
        ONE,
        Rules {
            sight: |facts, marks, is_old| match verdict::sight(facts, marks, is_old) {
                Sight::AbsentOnce => Sight::Gone,
                sight => sight,
            },
            ..REAL
        },
    ),
    mutant(
        "a job that upstream lost has ended like any other",
        FateKnown,
        ONE,
        Rules { remedy: |leftover| verdict::remedy(Leftover { is_job_lost: false, ..leftover }), ..REAL },
    ),
    mutant(
        "what is there at the end of a job goes again at once",
        FateKnown,
        ONE,
        Rules {
            remedy: |leftover| verdict::remedy(Leftover { since_end: Duration::MAX, ..leftover }),
            ..REAL
        },
    ),
    mutant(
        "what is still there is looked at for ever",
        Ends,
        ONE,
        Rules {
            remedy: |leftover| match verdict::remedy(leftover) {
                Remedy::Decided(Outcome::Failed, _) => Remedy::LookAgain,
                remedy => remedy,
            },
            ..REAL
        },
    ),
    mutant(
        "a decision that the outcomes do not allow",
        Ends,
        ONE,
        Rules {
            remedy: |leftover| match verdict::remedy(leftover) {
                Remedy::Decided(Outcome::Eligible, reason) => Remedy::Decided(Outcome::Pending, reason),
                remedy => remedy,
            },
            ..REAL
        },
    ),
];

/// What is wrong about a search for what upstream protects and does not name.
pub const OF_SEARCHES: &[Mutant] = &[
    mutant(
        "what must conflict is judged without a call",
        NotKept,
        searched(0b0001, 1),
        Rules { judges_alone: false, ..REAL },
    ),
    mutant("a rest is given away and kept", OneJob, searched(0b0001, 0), Rules { hands_on: false, ..REAL }),
    mutant(
        "a rest waits for an answer that was never given",
        Ends,
        searched(0b0001, 0),
        Rules {
            standing: |first| match first.standing() {
                Standing::Unknown => Standing::Waits,
                standing => standing,
            },
            ..REAL
        },
    ),
    mutant("a piece is of nothing", Ends, searched(0b0001, 0), Rules { piece_size: |_, _| 0, ..REAL }),
    mutant(
        "a search holds back what is last of it",
        Ends,
        searched(0b0001, 0),
        Rules { holds_back: |standing, _| standing == Standing::Unknown, ..REAL },
    ),
];

/// What is wrong about answers, acts and the end of a purge.
pub const OF_DECIDING: &[Mutant] = &[
    mutant(
        "a validation takes a first absence for gone",
        SeenGone,
        ONE,
        Rules {
            judge: |evidence, policy, now| {
                let mut cell = evidence.cell;
                cell.marks = cell.marks.with(Marks::ABSENT);
                eligibility::judge(Evidence { cell, is_absence_old_enough: true, ..evidence }, policy, now)
            },
            ..REAL
        },
    ),
    mutant(
        "a validation needs no gap between absences",
        SeenGone,
        ONE,
        Rules {
            judge: |evidence, policy, now| {
                eligibility::judge(Evidence { is_absence_old_enough: true, ..evidence }, policy, now)
            },
            ..REAL
        },
    ),
    mutant(
        "what is known to be gone does not outdate an answer",
        NotKept,
        SHARED,
        Rules { outdates: |_, _| false, ..REAL },
    ),
    mutant("what a job may delete is called kept", NotKept, SHARED, Rules { keeps: |_| false, ..REAL }),
    mutant(
        "nobody learns what another purge has found",
        Protected,
        SHARED,
        Rules { findings: |_, _, _, _| &[], ..REAL },
    ),
    mutant("only what is decided is noted", Protected, SHARED, Rules { notes_kept: false, ..REAL }),
    mutant(
        "what a job has carried is canceled like the rest",
        NotCanceled,
        ONE,
        Rules { when_canceled: |_| (Outcome::Canceled, codes::CANCELED), ..REAL },
    ),
    mutant(
        "a purge ends while something is open",
        OneOutcome,
        BATCH,
        Rules {
            final_state: |counts, state| {
                let mut closed = *counts;
                closed[Outcome::Submitted] = 0;
                closed.final_state(state)
            },
            ..REAL
        },
    ),
    mutant(
        "a canceled purge ends as any other",
        OneOutcome,
        ONE,
        Rules { final_state: |counts, _| counts.final_state(PurgeState::Running), ..REAL },
    ),
    mutant(
        "a retry takes up what was canceled",
        OneOutcome,
        ONE,
        Rules {
            leads_to: |act, state, has_started| match (act, state) {
                (Act::Retry, PurgeState::Canceled) => Some(PurgeState::Running),
                _ => act.leads_to(state, has_started),
            },
            ..REAL
        },
    ),
    mutant("who waited for an id is never woken", Ends, SHARED, Rules { wakes: false, ..REAL }),
    mutant("no job may be a child", Ends, BATCH, Rules { slots_for_children: |_, _, _| 0, ..REAL }),
    mutant(
        "a held id can't leave its job",
        Ends,
        ONE,
        Rules { may_become: |from, to| from.may_become(to) && to != Outcome::OnHold, ..REAL },
    ),
    mutant("nothing is drawn", Ends, ONE, Rules { is_drawable: |_| false, ..REAL }),
];

/// What is wrong about a database that went back in time.
pub const OF_REWINDS: &[Mutant] = &[
    mutant(
        "nobody makes the holds again",
        Protected,
        back(ONE, 2),
        Rules { stops_after_rewind: false, ..REAL },
    ),
    mutant(
        "what was forgotten has no window",
        IntentFirst,
        back(ONE, 1),
        Rules { waits_after_rewind: false, ..REAL },
    ),
    mutant(
        "facts that were asked within the window are good after it",
        FateKnown,
        back(ONE, 1),
        Rules { heeds_early_facts: false, ..REAL },
    ),
];
