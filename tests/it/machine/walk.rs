//! A walk: its state, and how a step is done.

use std::collections::BTreeSet;
use std::time::Duration;

use genesys_purge::domain::facts::Facts;
use genesys_purge::domain::search::ConflictLimit;
use genesys_purge::domain::terms::OrgTerms;
use genesys_purge::store::jobs::intend::Intent;
use genesys_purge::store::jobs::looks::Look;
use genesys_purge::store::slices::claim::Question;
use uuid::Uuid;

use super::checks::{Seen, Suspicion};
use super::ground::{Ground, ORG};
use super::steps::{Plan, Polled, Reply, Step, Told};
use super::truth::Truth;

/// A purge, and what was promised to whom steered it.
#[derive(Debug)]
pub struct Purge {
    pub id: Uuid,
    pub is_dry_run: bool,
    pub is_paused: bool,
    pub is_canceled: bool,
}

/// Something that was claimed, and what upstream says of it.
#[derive(Debug)]
pub struct Asked<T> {
    pub what: T,
    pub at: Duration,
    /// `None`: a whole answer leaves it out.
    pub facts: Vec<(Uuid, Option<Facts>)>,
}

/// An intent that nobody has called for yet.
#[derive(Debug)]
pub struct Intended {
    pub intent: Intent,
    pub call_before: Duration,
}

/// An id that an intent named, for a purge; a definite no takes it back.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
pub struct Named {
    pub purge: Uuid,
    pub id: Uuid,
    pub job: Uuid,
    pub attempt: i32,
}

/// How much the walks have seen.
#[derive(Debug, Default)]
pub struct Tally {
    pub steps: usize,
    pub jobs: usize,
    pub deleted: usize,
    pub gone_late: usize,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.jobs += other.jobs;
        self.deleted += other.deleted;
        self.gone_late += other.gone_late;
    }
}

pub struct Walk<'a> {
    pub ground: &'a mut Ground,
    pub org: OrgTerms,
    pub truth: Truth,
    pub purges: Vec<Purge>,
    pub questions: Vec<Asked<Question>>,
    pub looks: Vec<Asked<Look>>,
    pub intents: Vec<Intended>,
    pub named: BTreeSet<Named>,
    /// Ids of which a look after the end of a job that was given up was not told.
    pub untold: BTreeSet<Uuid>,
    pub is_stopped: bool,
    pub seen: Seen,
    pub suspicions: Vec<Suspicion>,
    pub tally: Tally,
}

impl<'a> Walk<'a> {
    pub async fn begin(ground: &'a mut Ground, plan: &Plan) -> Self {
        ground.clear().await;
        let org = OrgTerms {
            name: ORG.to_owned(),
            max_batch: plan.max_batch,
            details_batch: 5,
            slots: plan.slots,
            per_minute: 0,
            mixes_purges: plan.mixes_purges,
            conflict_limit: ConflictLimit { percent: 100, jobs: 1 },
        };
        Self {
            ground,
            org,
            truth: Truth::new(&plan.kinds),
            purges: Vec::new(),
            questions: Vec::new(),
            looks: Vec::new(),
            intents: Vec::new(),
            named: BTreeSet::new(),
            untold: BTreeSet::new(),
            is_stopped: false,
            seen: Seen::default(),
            suspicions: Vec::new(),
            tally: Tally::default(),
        }
    }

    pub async fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step).await;
        }
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Accept { ids, is_dry_run } => self.accept(ids, is_dry_run).await,
            Step::Act { purge, act } => self.act(purge, act).await,
            Step::Hold { ids } => self.hold(ids).await,
            Step::Release { hold } => self.release(hold).await,
            Step::Stop => self.stop().await,
            Step::GoOn => self.go_on().await,
            Step::Protect { id, is_held } => self.protect(id, is_held),
            Step::Delete { job, id } => self.delete(job, id),
            Step::Ask { is_first } => {
                self.ask(is_first).await;
            }
            Step::Answer { question, told } => {
                self.answer(question, told).await;
            }
            Step::Pack => {
                self.pack().await;
            }
            Step::Intend => {
                self.intend().await;
            }
            Step::Call { intent, reply } => self.call(intent, reply).await,
            Step::Poll(polled) => {
                self.poll(polled).await;
            }
            Step::Look => {
                self.look().await;
            }
            Step::See { look, told } => {
                self.see(look, told).await;
            }
            Step::Sweep => {
                self.sweep().await;
            }
            Step::Expire => {
                self.expire().await;
            }
            Step::Pass(pass) => self.pass(pass).await,
            Step::Turn { reply, polled } => {
                self.turn(reply, polled).await;
            }
        }
        self.check(&format!("{step:?}")).await;
    }

    /// Does once whatever is due, as a dispatcher does; tells whether there was anything.
    pub async fn turn(&mut self, reply: Reply, polled: Polled) -> bool {
        let mut has_moved = self.sweep().await;
        self.check("sweep").await;
        // What upstream refuses for now may be due again at once.
        for _ in 0..self.org.slots {
            if !self.intend().await {
                break;
            }
            has_moved = true;
            self.check("intend").await;
            while !self.intents.is_empty() {
                self.call(0, reply).await;
                self.check("call").await;
            }
        }
        while self.poll(polled).await {
            has_moved = true;
            self.check("poll").await;
        }
        while self.look().await {
            self.check("look").await;
            while !self.looks.is_empty() {
                has_moved |= self.see(u8::MAX, Told::Whole).await;
                self.check("see").await;
            }
        }
        for is_first in [true, false] {
            while self.ask(is_first).await {
                self.check("ask").await;
                has_moved |= self.answer(u8::MAX, Told::Whole).await;
                self.check("answer").await;
            }
        }
        while self.pack().await {
            has_moved = true;
            self.check("pack").await;
        }
        has_moved
    }
}

/// Which of so many a drawn number means; the largest number is the last.
pub fn chosen(number: u8, of: usize) -> Option<usize> {
    match number {
        u8::MAX => of.checked_sub(1),
        _ => usize::from(number).checked_rem(of),
    }
}
