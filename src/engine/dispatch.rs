//! The loop of one org: survey the due work, claim it by priority, hand it to workers, sleep.
//!
//! The order is submit, poll, look, validate; the kind that got the last 429 goes last, but is never starved
//! (`turns.rs`). A claim includes its call permit, so an org without budget, or one that upstream refuses, occupies no
//! worker. A permit is valid for a second, so token and connection are made ready before it is taken.

mod questions;
mod steps;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::OrgEngine;
use super::give_back::Held;
use super::kind::Kind;
use super::sweep::Sweeper;
use super::wait::{Ears, FALLBACK, until_next};
use crate::domain::ahead::{horizon, patience};
use crate::genesys::NotReady;
use crate::store::StoreError;
use crate::store::jobs::intend::Intended;
use crate::store::jobs::pack::Packed;
use crate::store::slices::claim::Claim;
use crate::store::views::survey::Survey;
use crate::store::{PANICKED, caught};
use steps::ending;
use turns::Turns;

/// Those who do the steps.
#[derive(Clone)]
pub(super) struct Crew {
    pub(super) workers: Arc<Semaphore>,
    /// How many are reserved for running jobs: queries before a submit could take all.
    pub(super) reserved: usize,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) abort: CancellationToken,
    pub(super) ears: Ears,
}

/// Looks after one org.
pub(super) struct Dispatcher {
    org: Arc<OrgEngine>,
    crew: Crew,
    wake: Arc<Notify>,
    expected_job: Option<Duration>,
    /// Since when a job that is not full could have been packed.
    partial_since: Option<Instant>,
    /// No call before this time: there was no token.
    no_call_before: Option<Instant>,
    sweeper: Sweeper,
    turns: Turns,
    /// There was nothing at all to do when it looked last, and now it was woken.
    is_greeting: bool,
}

/// The result of one round of a kind.
#[derive(Debug, Default)]
struct Round {
    /// Something was launched or changed: more may be due at once.
    has_moved: bool,
    /// How many calls were launched.
    calls: usize,
    /// How long something has to wait.
    put_off: Option<Duration>,
}

impl Round {
    /// Notes a wait, if there is one; says whether there is.
    fn is_put_off(&mut self, wait: Option<Duration>) -> bool {
        self.put_off = wait.or(self.put_off);
        wait.is_some()
    }
}

impl Dispatcher {
    pub(super) fn new(org: Arc<OrgEngine>, crew: Crew, wake: Arc<Notify>) -> Self {
        Self {
            org,
            crew,
            wake,
            expected_job: None,
            partial_since: None,
            no_call_before: None,
            sweeper: Sweeper::default(),
            turns: Turns::default(),
            is_greeting: false,
        }
    }

    /// Runs until the stop.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        while !self.crew.stop.is_cancelled() {
            let abort = self.crew.abort.clone();
            let Some(turn) = abort.run_until_cancelled(Box::pin(caught(self.turn()))).await else { break };
            let wait = match self.kept(turn).and_then(|turn| turn) {
                Ok(wait) => {
                    failures = 0;
                    wait
                }
                Err(error) => {
                    failures += 1;
                    tracing::error!(org = self.org.terms.name, error, "dispatcher failed; retrying");
                    Some(FALLBACK.min(Duration::from_millis(200) * failures))
                }
            };
            let Some(wait) = wait else { continue };
            tokio::select! {
                () = self.crew.stop.cancelled() => {}
                () = self.wake.notified() => continue,
                () = tokio::time::sleep(wait) => {}
            }
            self.is_greeting = false;
        }
    }

    /// The result of a part of a turn, with the error if it failed.
    fn kept<T>(&self, done: Result<Result<T, StoreError>, String>) -> Result<T, String> {
        match done {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(panic) => {
                self.org.meters.step("turn", &self.org.terms.name).end(PANICKED);
                Err(format!("it panicked: {panic}"))
            }
        }
    }

    /// Surveys and launches; returns how long to sleep, or `None` if more may be due, and the failures.
    async fn turn(&mut self) -> Result<Result<Option<Duration>, String>, StoreError> {
        if std::mem::take(&mut self.is_greeting) {
            self.greet().await?;
        }
        let horizon = horizon(self.expected_job, self.org.engine.validation_max_age);
        let survey = self.org.store.survey(&self.org.terms, horizon).await?;
        self.expected_job = survey.pace.expected(self.org.terms.max_batch);
        self.org.remember(&survey);
        self.org.tell_token().await;
        self.org.tell_login_trouble().await;
        let (mut has_moved, mut put_off, mut failed) = (false, self.crew.ears.longest_sleep(), None);
        if survey.has_to_sweep {
            // No call is made for it, so neither budget nor block nor stop holds it up.
            let swept = caught(self.sweeper.sweep(&self.org)).await;
            match self.kept(swept) {
                Ok(has_swept) => has_moved = has_swept,
                Err(error) => failed = Some(error),
            }
        }
        if survey.permit_at <= survey.now {
            let is_paused = self.org.engine.paused || survey.is_stopped;
            let refused_call = survey.refused_call.as_deref();
            let mut called = Vec::new();
            for kind in
                self.turns.kinds(refused_call).into_iter().filter(|kind| !(is_paused && kind.begins()))
            {
                let round = caught(self.launch(kind, &survey)).await;
                // An error of one kind delays none of the others.
                match self.kept(round) {
                    Ok(round) => {
                        called.extend((round.calls > 0).then_some(kind));
                        has_moved |= round.has_moved;
                        put_off = put_off.min(round.put_off.unwrap_or(FALLBACK));
                    }
                    Err(error) => failed = Some(error),
                }
            }
            self.turns.note(refused_call, &called);
        }
        match failed {
            Some(error) => Ok(Err(error)),
            None if has_moved => Ok(Ok(None)),
            None => {
                let has_work = survey.drawable + survey.intents_due + survey.polls_due + survey.looks_due > 0
                    || survey.slice_at.is_some();
                self.is_greeting = !has_work && survey.asking + survey.slots_taken == 0;
                Ok(Ok(Some(until_next(&survey, has_work).min(put_off))))
            }
        }
    }

    async fn launch(&mut self, kind: Kind, survey: &Survey) -> Result<Round, StoreError> {
        match kind {
            Kind::Submit => self.launch_submits(survey).await,
            Kind::Poll => self.launch_polls(survey).await,
            Kind::Look => self.launch_looks(survey).await,
            Kind::Validate => self.launch_validations(survey).await,
        }
    }

    /// Packs and intends while slots are free.
    async fn launch_submits(&mut self, survey: &Survey) -> Result<Round, StoreError> {
        let (mut intents_due, mut drawable) = (survey.intents_due, survey.drawable);
        let mut free = self.org.terms.slots.saturating_sub(survey.slots_taken);
        let mut round = Round::default();
        // If queries of facts are blocked, one of them is the first attempt; if none is needed, an intent is.
        let has_questions = survey.slice_at.is_some() || survey.asking > 0;
        let is_shut = survey.shut_until.is_some() || survey.are_facts_blocked && has_questions;
        if is_shut || free == 0 || intents_due + drawable == 0 {
            self.partial_since = None;
            return Ok(round);
        }
        while free > 0 {
            let Some(worker) = self.worker() else { break };
            if intents_due == 0 {
                round.put_off = self.patience_left(survey, drawable);
                if drawable == 0 || round.put_off.is_some() {
                    break;
                }
            }
            if round.is_put_off(self.not_ready(Kind::Submit).await?) {
                break;
            }
            if intents_due == 0 {
                let timed = self.org.meters.step("pack", &self.org.terms.name);
                let packed = self.org.store.pack(&self.org.terms).await;
                timed.end(ending(&packed, matches!(packed, Ok(Packed::Nothing))));
                match packed? {
                    Packed::Job(size) => drawable = drawable.saturating_sub(size),
                    // There may be more; all else has its turn before that.
                    Packed::Waiting => {
                        round.has_moved = true;
                        break;
                    }
                    Packed::Nothing => break,
                }
            }
            let timed = self.org.meters.step("intend", &self.org.terms.name);
            let intended = self.org.store.intend(&self.org.terms, &self.org.engine, (self.org.clock)()).await;
            timed.end(ending(&intended, matches!(intended, Ok(Intended::Nothing | Intended::NoPermit))));
            match intended? {
                Intended::Intent(intent) => {
                    let (org, lease) = (Arc::clone(&self.org), intent.lease);
                    let body_sha256 = org.upstream.body_digest(&intent.ids);
                    let held = Held::Submit { lease, body_sha256 };
                    self.spawn(worker, "submit", held, async move { org.submit(&intent, body_sha256).await });
                    round.has_moved = true;
                    round.calls += 1;
                    free -= 1;
                    intents_due = intents_due.saturating_sub(1);
                }
                Intended::Changed => {
                    round.has_moved = true;
                    intents_due = intents_due.saturating_sub(1);
                }
                // Those that wait may be children of a conflict, which leave slots to what can be packed.
                Intended::Nothing if intents_due > 0 => intents_due = 0,
                Intended::Nothing => break,
                // Another process took it; the next survey shows when there is one.
                Intended::NoPermit => {
                    round.has_moved = true;
                    break;
                }
            }
        }
        Ok(round)
    }

    /// Makes sure that token and connection are ready before a permit is taken; returns how long to wait if there is
    /// no token.
    async fn not_ready(&mut self, kind: Kind) -> Result<Option<Duration>, StoreError> {
        let left = self.no_call_before.map(|until| until.saturating_duration_since(Instant::now()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return Ok(Some(left));
        }
        let org = Arc::clone(&self.org);
        // After the stop, nothing new starts.
        let Some(ready) = self.crew.stop.run_until_cancelled(org.upstream.ready(kind.lane())).await else {
            return Ok(Some(Duration::ZERO));
        };
        let Err(NotReady { failure, again_in }) = ready else { return Ok(None) };
        tracing::warn!(org = org.terms.name, error = %failure, ?again_in, "no token; calls wait");
        self.no_call_before = Some(Instant::now() + again_in);
        org.after_failure(kind.call(), &failure, 1).await?;
        Ok(Some(again_in))
    }

    /// A full job goes at once; one that is not full waits a moment for a details call that is on the way.
    fn patience_left(&mut self, survey: &Survey, drawable: usize) -> Option<Duration> {
        let is_full = drawable >= self.org.terms.max_batch;
        let is_asking = survey.asking > 0 || survey.slice_at.is_some_and(|at| at <= survey.now);
        if drawable == 0 || is_full || !is_asking {
            self.partial_since = None;
            return None;
        }
        let since = *self.partial_since.get_or_insert_with(Instant::now);
        let left = patience(self.expected_job).saturating_sub(since.elapsed());
        if left.is_zero() {
            self.partial_since = None;
            return None;
        }
        Some(left)
    }

    async fn launch_polls(&mut self, survey: &Survey) -> Result<Round, StoreError> {
        let mut round = Round::default();
        for _ in 0..survey.polls_due {
            let Some(worker) = self.worker() else { break };
            if round.is_put_off(self.not_ready(Kind::Poll).await?) {
                break;
            }
            let claim = self.org.store.claim_poll(&self.org.terms, self.org.engine.lease).await?;
            round.has_moved |= claim.has_moved();
            let Claim::Claimed(poll, permit) = claim else { break };
            round.calls += 1;
            let (org, held) = (Arc::clone(&self.org), Held::Jobs(vec![poll.lease]));
            self.spawn(worker, "poll", held, async move { org.poll(&poll, permit).await });
        }
        Ok(round)
    }

    async fn launch_looks(&mut self, survey: &Survey) -> Result<Round, StoreError> {
        let mut round = Round::default();
        let mut due = survey.looks_due;
        while due > 0 {
            let Some(worker) = self.worker() else { break };
            if round.is_put_off(self.not_ready(Kind::Look).await?) {
                break;
            }
            let claim = self.org.store.claim_looks(&self.org.terms, self.org.engine.lease).await?;
            round.has_moved |= claim.has_moved();
            let Claim::Claimed(looks, permit) = claim else { break };
            round.calls += 1;
            due = due.saturating_sub(looks.len());
            let org = Arc::clone(&self.org);
            let held = Held::Jobs(looks.iter().map(|look| look.lease).collect());
            self.spawn(worker, "look", held, async move { org.look(&looks, permit).await });
        }
        Ok(round)
    }

    /// A free worker, unless it is stopping.
    fn worker(&self) -> Option<OwnedSemaphorePermit> {
        if self.crew.stop.is_cancelled() {
            return None;
        }
        Arc::clone(&self.crew.workers).try_acquire_owned().ok()
    }
}
