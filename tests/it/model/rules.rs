//! The rules by which the world goes: the functions of the engine, and those of its statements that decide on their own.
//!
//! What is not a function of `domain` stands in a statement, or between two of them, and is told here in the model's words;
//! the engine's own test of each is another one:
//!
//! | rule | where the engine has it |
//! |---|---|
//! | `reserves` | the key of `reservations`, in the statement `reserve` |
//! | `has_slot` | `count_slots` of an intent, `count_taken_slots` of packing |
//! | `may_call` | the check of a permit before its call is written (`src/genesys/permit.rs`) |
//! | `standing`, `holds_back` | the views `search_pieces` and `search_pieces_held_back` |
//! | `hands_on` | the statement `hand_on`, and what `fill` keeps of the other piece |
//! | `judges_alone` | `make_piece` decides no outcome |
//! | `keeps_doubt` | `record_lost` and `expire_submits`: silence leads to `in_doubt` |
//! | `commits_first` | `intend` commits before `submit` calls |
//! | `wakes` | `slices_to_wake` and `stop_waiting` |
//! | `notes_kept` | `Patch::note_kept`, where an answer is read that does not decide |
//! | `stops_after_rewind`, `waits_after_rewind` | `stop_rewound_org`: `stopped_at`, `intents_from` |
//! | `heeds_early_facts` | `Conditions::asked_from` of an intent |

use std::time::Duration;

use genesys_purge::domain::act::Act;
use genesys_purge::domain::counts::Counts;
use genesys_purge::domain::doubt::{self, Next, Reread};
use genesys_purge::domain::eligibility::{self, Evidence, Since, Verdict};
use genesys_purge::domain::facts::Facts;
use genesys_purge::domain::findings::{Finding, findings};
use genesys_purge::domain::intent::{self, Check, Known};
use genesys_purge::domain::outcome::{Cell, Marks, Outcome};
use genesys_purge::domain::packing;
use genesys_purge::domain::reason::Reason;
use genesys_purge::domain::retention::Policy;
use genesys_purge::domain::search::{self, Seen};
use genesys_purge::domain::state::PurgeState;
use genesys_purge::domain::verdict::{self, Leftover, Remedy, Sight};
use jiff::Timestamp;

use super::pieces::{FirstHalf, Standing};

#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub struct Rules {
    pub judge: fn(Evidence<'_>, &Policy, Timestamp) -> Verdict,
    pub outdates: fn(Since, Outcome) -> bool,
    pub keeps: fn(Outcome) -> bool,
    pub is_drawable: fn(&Cell) -> bool,
    pub shares: fn(&[usize], usize) -> Vec<usize>,
    pub slots_for_children: fn(usize, usize, bool) -> usize,
    pub piece_size: fn(Seen, usize) -> usize,
    pub standing: fn(FirstHalf) -> Standing,
    pub holds_back: fn(Standing, others_are_tried: bool) -> bool,
    pub hands_on: bool,
    pub judges_alone: bool,
    pub check: fn(Known) -> Check,
    pub window: fn(Duration, Option<Duration>, Duration) -> Duration,
    pub after_reread: fn(Reread) -> Next,
    pub sight: fn(Option<&Facts>, Marks, bool) -> Sight,
    pub remedy: fn(Leftover) -> Remedy,
    pub when_canceled: fn(Marks) -> (Outcome, Reason),
    pub may_become: fn(Outcome, Outcome) -> bool,
    pub leads_to: fn(Act, PurgeState, bool) -> Option<PurgeState>,
    pub final_state: fn(&Counts, PurgeState) -> Option<PurgeState>,
    pub findings: fn(Outcome, Outcome, &str, bool) -> &'static [Finding],
    pub reserves: fn(is_reserved: bool) -> bool,
    pub has_slot: fn(taken: usize, slots: usize) -> bool,
    pub may_call: fn(is_late: bool) -> bool,
    pub keeps_doubt: bool,
    pub commits_first: bool,
    pub wakes: bool,
    pub notes_kept: bool,
    pub stops_after_rewind: bool,
    pub waits_after_rewind: bool,
    pub heeds_early_facts: bool,
}

impl Rules {
    /// As the engine has them.
    pub const REAL: Self = Self {
        judge: eligibility::judge,
        outdates: |since, outcome| since.outdates(outcome),
        keeps: |outcome| outcome.keeps(),
        is_drawable: |cell| cell.is_drawable(),
        shares: packing::shares,
        slots_for_children: packing::slots_for_children,
        piece_size: search::piece_size,
        standing: FirstHalf::standing,
        holds_back: |standing, others_are_tried| match standing {
            Standing::Waits => true,
            Standing::Unknown => others_are_tried,
            Standing::Tried | Standing::Conflicts => false,
        },
        hands_on: true,
        judges_alone: true,
        check: intent::check,
        window: doubt::window,
        after_reread: doubt::after_reread,
        sight: verdict::sight,
        remedy: verdict::remedy,
        when_canceled: verdict::when_canceled,
        may_become: |from, to| from.may_become(to),
        leads_to: |act, state, has_started| act.leads_to(state, has_started),
        final_state: |counts, state| counts.final_state(state),
        findings,
        reserves: |is_reserved| !is_reserved,
        has_slot: |taken, slots| taken < slots,
        may_call: |is_late| !is_late,
        keeps_doubt: true,
        commits_first: true,
        wakes: true,
        notes_kept: true,
        stops_after_rewind: true,
        waits_after_rewind: true,
        heeds_early_facts: true,
    };
}
