//! What may happen, and how often it is drawn. What a step is about is drawn as a number, which counts among what there is at
//! that moment; sets of ids are bits.

use genesys_purge::domain::act::Act;
use proptest::prelude::*;

use super::openings::opening;
use super::truth::{IDS, Kind};

/// A walk.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What there is upstream at the beginning.
    pub kinds: Vec<Kind>,
    pub slots: usize,
    pub max_batch: usize,
    pub mixes_purges: bool,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub enum Step {
    Accept {
        ids: u8,
        is_dry_run: bool,
    },
    Act {
        purge: u8,
        act: Act,
    },
    Hold {
        ids: u8,
    },
    Release {
        hold: u8,
    },
    Stop,
    GoOn,
    /// Genesys protects an id from now on, or no more.
    Protect {
        id: u8,
        is_held: bool,
    },
    /// An upstream job deletes one of its ids.
    Delete {
        job: u8,
        id: u8,
    },
    Ask {
        is_first: bool,
    },
    Answer {
        question: u8,
        told: Told,
    },
    Pack,
    Intend,
    Call {
        intent: u8,
        reply: Reply,
    },
    Poll(Polled),
    Look,
    See {
        look: u8,
        told: Told,
    },
    Sweep,
    /// Leases that ended are looked for.
    Expire,
    Pass(Pass),
    /// Whatever is due is done once, as a dispatcher does it, and upstream answers like this.
    Turn {
        reply: Reply,
        polled: Polled,
    },
}

/// How much of a question is answered; what is answered is true.
#[derive(Debug, Clone, Copy)]
pub enum Told {
    Whole,
    /// These, and nothing of the others.
    Partly(u8),
    /// All is told, and these are left out, each once in a walk: whoever believes that takes for gone what is there.
    Hiding(u8),
    /// Nothing.
    Nothing,
    /// Upstream refuses to be asked about the first.
    Refused,
    /// Whoever asked is dead.
    Never,
}

/// What comes of a submit. Of what it names `deletes` is deleted by and by, if there is a job.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    Yes {
        deletes: u8,
    },
    /// Nothing was done: it may go again at once.
    Throttled,
    /// These are protected.
    Conflict(u8),
    UnnamedConflict,
    Invalid,
    Rejected,
    /// There is a job, and nobody learns of it.
    LostMade {
        deletes: u8,
    },
    LostUnmade,
    /// The process dies before the call, or before it can record the answer.
    Died {
        is_made: bool,
        deletes: u8,
    },
}

#[derive(Debug, Clone, Copy)]
pub enum Polled {
    Working,
    /// What it still deletes shows at once, or a little later.
    Ended {
        is_completed: bool,
        is_late: bool,
    },
    Missing,
    Silent,
}

/// How far time goes on.
#[derive(Debug, Clone, Copy)]
pub enum Pass {
    ToNextDue,
    AbsenceGap,
    Lease,
    Window,
    Visibility,
    FactsAge,
    Deadline,
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let kind = prop_oneof![
        12 => Just(Kind::Present),
        1 => Just(Kind::Held),
        1 => Just(Kind::Young),
        1 => Just(Kind::Active),
        1 => Just(Kind::Gone),
        1 => Just(Kind::Unknown),
    ];
    let kinds = prop::collection::vec(kind, IDS);
    let steps = (opening(), prop::collection::vec(step(), 20..90));
    let steps = steps.prop_map(|(opening, steps)| [opening, steps].concat());
    (kinds, 1..4_usize, 1..5_usize, prop::bool::weighted(0.8), steps).prop_map(
        |(kinds, slots, max_batch, mixes_purges, steps)| Plan {
            kinds,
            slots,
            max_batch,
            mixes_purges,
            steps,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let acts = prop_oneof![
        3 => Just(Act::Pause), 3 => Just(Act::Resume), 2 => Just(Act::Cancel), 4 => Just(Act::Retry),
    ];
    let n = any::<u8>;
    let begins = prop_oneof![
        6 => (ids(), prop::bool::weighted(0.15)).prop_map(|(ids, is_dry_run)| Step::Accept { ids, is_dry_run }),
        6 => (n(), acts).prop_map(|(purge, act)| Step::Act { purge, act }),
        2 => few().prop_map(|ids| Step::Hold { ids }),
        2 => n().prop_map(|hold| Step::Release { hold }),
        1 => Just(Step::Stop),
        2 => Just(Step::GoOn),
        2 => (n(), any::<bool>()).prop_map(|(id, is_held)| Step::Protect { id, is_held }),
        3 => (n(), n()).prop_map(|(job, id)| Step::Delete { job, id }),
    ];
    let works = prop_oneof![
        6 => any::<bool>().prop_map(|is_first| Step::Ask { is_first }),
        6 => (n(), told()).prop_map(|(question, told)| Step::Answer { question, told }),
        6 => Just(Step::Pack),
        8 => Just(Step::Intend),
        8 => (n(), reply()).prop_map(|(intent, reply)| Step::Call { intent, reply }),
        5 => polled().prop_map(Step::Poll),
        6 => Just(Step::Look),
        6 => (n(), told()).prop_map(|(look, told)| Step::See { look, told }),
        3 => Just(Step::Sweep),
        2 => Just(Step::Expire),
    ];
    let passes = prop_oneof![
        6 => Just(Pass::ToNextDue), 2 => Just(Pass::AbsenceGap), 1 => Just(Pass::Lease), 1 => Just(Pass::Window),
        1 => Just(Pass::Visibility), 1 => Just(Pass::FactsAge), 1 => Just(Pass::Deadline),
    ];
    prop_oneof![
        20 => begins,
        52 => works,
        12 => passes.prop_map(Step::Pass),
        20 => (reply(), polled()).prop_map(|(reply, polled)| Step::Turn { reply, polled }),
    ]
}

/// Some ids, rather many.
fn ids() -> impl Strategy<Value = u8> {
    (any::<u8>(), any::<u8>()).prop_map(|(some, others)| some | others)
}

fn few() -> impl Strategy<Value = u8> {
    (any::<u8>(), any::<u8>()).prop_map(|(some, others)| some & others)
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        8 => Just(Told::Whole),
        3 => ids().prop_map(Told::Partly),
        2 => few().prop_map(Told::Hiding),
        1 => Just(Told::Nothing),
        1 => Just(Told::Refused),
        1 => Just(Told::Never),
    ]
}

/// All of it, or only some.
fn deletes() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(u8::MAX), 2 => any::<u8>(), 1 => Just(0)]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        10 => deletes().prop_map(|deletes| Reply::Yes { deletes }),
        2 => Just(Reply::Throttled),
        1 => few().prop_map(Reply::Conflict),
        1 => Just(Reply::UnnamedConflict),
        1 => Just(Reply::Invalid),
        1 => Just(Reply::Rejected),
        3 => deletes().prop_map(|deletes| Reply::LostMade { deletes }),
        2 => Just(Reply::LostUnmade),
        2 => (any::<bool>(), deletes()).prop_map(|(is_made, deletes)| Reply::Died { is_made, deletes }),
    ]
}

fn polled() -> impl Strategy<Value = Polled> {
    let ended = (any::<bool>(), any::<bool>());
    prop_oneof![
        3 => Just(Polled::Working),
        6 => ended.prop_map(|(is_completed, is_late)| Polled::Ended { is_completed, is_late }),
        3 => Just(Polled::Missing),
        1 => Just(Polled::Silent),
    ]
}
