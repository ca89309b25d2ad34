//! Cancel, pause, stop and hold race against intents on several connections: each is exactly before or after each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use genesys_purge::app::{Role, World, engine_terms, org_terms, policy};
use genesys_purge::domain::facts::{End, Facts, Presence};
use genesys_purge::domain::terms::{EngineTerms, OrgTerms};
use genesys_purge::domain::{act::Act, keys};
use genesys_purge::intake::Spooled;
use genesys_purge::sandbox::Kind;
use genesys_purge::store::holds::create::{Held, NewHold};
use genesys_purge::store::jobs::intend::Intended;
use genesys_purge::store::jobs::pack::Packed;
use genesys_purge::store::jobs::polled::Polled;
use genesys_purge::store::jobs::submitted::Accepted;
use genesys_purge::store::keys::By;
use genesys_purge::store::orgs::enroll::Enroller;
use genesys_purge::store::purges::accept::{self, NewPurge};
use genesys_purge::store::purges::steer::Steered;
use genesys_purge::store::slices::claim::{Claim, Question, Reach};
use genesys_purge::store::slices::validated::{Again, Answers};
use genesys_purge::store::{Store, Urgency};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde_json::json;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::{submits, time_in};
use crate::database::settings::hostile;
use crate::support::books::assert_books;
use crate::support::{Setup, TestService};

/// Rounds of each of the four acts: a thousand in all.
const ROUNDS: u32 = 250;

/// After each round whoever came first waits so much longer.
const STEP_US: i64 = 250;

/// Waits more exactly than a timer does.
async fn in_exactly(wait: Duration) {
    let began = Instant::now();
    while began.elapsed() < wait {
        tokio::task::yield_now().await;
    }
}

/// What races against the intent.
#[derive(Debug, Clone, Copy)]
pub enum Rival {
    Cancel,
    Pause,
    Stop,
    Hold,
}

/// An org of its own, two stores with connections of their own, and one to look at the tables.
pub struct Lane {
    rival: Rival,
    pub org: OrgTerms,
    pub terms: EngineTerms,
    pub engine: Store,
    pub steering: Store,
    pub by: By<'static>,
    connection: PgConnection,
    /// How long the rival waits, steered towards the very moment of the intent; below zero it is the intent that waits.
    wait_us: i64,
}

impl Lane {
    pub async fn open(test: &TestService, rival: Rival) -> Self {
        let (settings, name) = (&test.settings, format!("{rival:?}").to_lowercase());
        let org = OrgTerms { slots: 100_000, ..org_terms(&name, &settings.orgs["default"]) };
        let (engine, steering) = (test.store().await, test.store().await);
        engine.enroll_org(&name, &policy(settings), Enroller::Worker).await.unwrap();
        let (key_id, _) =
            steering.find_caller(&test.key, Urgency::Ordinary).await.unwrap().in_force().unwrap();
        let by = By { key_id, name: "racer", request_id: "race", reason: None };
        let (connection, wait_us) = (test.database.connect().await, 0);
        Self { rival, org, terms: engine_terms(settings), engine, steering, by, connection, wait_us }
    }

    /// A purge of these conversations, whose facts nobody has asked yet.
    pub async fn accepted(&self, ids: &[Uuid]) -> Uuid {
        let new = NewPurge {
            org: self.org.name.clone(),
            reason: None,
            reference: None,
            labels: json!({}),
            is_dry_run: false,
            webhook: None,
            key_id: self.by.key_id,
            requested_by: self.by.name.to_owned(),
            request_id: self.by.request_id.to_owned(),
            traceparent: None,
        };
        let (spooled, patience) = (Spooled::from_list(ids.to_vec()), Duration::from_secs(30));
        let accepted = self.steering.accept_purge(&new, &spooled, None, patience).await;
        let Ok(accept::Accepted::New(accepted)) = accepted else { panic!("{accepted:?}") };
        accepted.id
    }

    /// The next question that is due.
    pub async fn question(&self, reach: Reach) -> Question {
        let claim = self.engine.claim_slices(&self.org, reach, self.terms.lease, false).await.unwrap();
        let Claim::Claimed(question, _) = claim else { panic!("nothing to ask about: {claim:?}") };
        question
    }

    /// Records that these are there, ended long ago; of the others nothing was told.
    pub async fn answer(&self, question: &Question, present: &[Uuid]) {
        self.record(question, &answers(present, Presence::Present)).await;
    }

    /// Records that all of it is there, and is like that.
    pub async fn answer_as(&self, question: &Question, presence: Presence) {
        self.record(question, &answers(&question.ids(), presence)).await;
    }

    pub async fn record(&self, question: &Question, answers: &Answers) {
        let again = Again { wait: Duration::ZERO, is_fruitless: false };
        let now = World::machine().clock()();
        let terms = EngineTerms { absence_gap: Duration::ZERO, ..self.terms };
        let recorded = self.engine.record_answers(&self.org.name, question, answers, now, &terms, again);
        recorded.await.unwrap().unwrap();
    }

    /// Asks about everything that is due, and records that all of it is like that.
    pub async fn answer_all(&self, reach: Reach, presence: Presence) {
        let claim = || self.engine.claim_slices(&self.org, reach, self.terms.lease, false);
        while let Claim::Claimed(question, _) = claim().await.unwrap() {
            self.answer_as(&question, presence).await;
        }
    }

    /// A purge of these conversations, all of which may be deleted.
    pub async fn eligible(&self, ids: &[Uuid]) -> Uuid {
        let purge = self.accepted(ids).await;
        let question = self.question(Reach::FirstAndDryRuns).await;
        self.answer(&question, &question.ids()).await;
        purge
    }

    /// A purge of two conversations whose upstream job runs.
    pub async fn submitted(&self, ids: &[Uuid]) -> Uuid {
        let purge = self.packed(ids).await;
        self.submit().await;
        purge
    }

    /// Has the job that waits submitted, and taken.
    pub async fn submit(&self) {
        let intended = self.engine.intend(&self.org, &self.terms, own_time()).await.unwrap();
        assert!(matches!(intended, Intended::Intent(_)), "nothing stands against it: {intended:?}");
        self.clear(vec![intended]).await;
    }

    /// Whatever waits for its time waits no longer.
    pub async fn due(&self, test: &TestService) {
        test.sql("update jobs set run_at = now() where state <> 'done'").await;
    }

    /// Records the next poll that is due.
    pub async fn poll(&self, polled: Polled) {
        let claim = self.engine.claim_poll(&self.org, self.terms.lease).await.unwrap();
        let Claim::Claimed(poll, _) = claim else { panic!("no poll is due: {claim:?}") };
        self.engine.record_poll(&self.org.name, poll.lease, &polled, &self.terms).await.unwrap();
    }

    /// Records the next look that is due: it saw these so, and nothing of the others.
    pub async fn look(&self, ids: &[Uuid], presence: Presence) {
        let claim = self.engine.claim_looks(&self.org, self.terms.lease).await.unwrap();
        let Claim::Claimed(looks, _) = claim else { panic!("no look is due: {claim:?}") };
        let [look] = &looks[..] else { panic!("more than one is due: {looks:?}") };
        let answers = answers(ids, presence);
        let now = World::machine().clock()();
        let recorded = self.engine.record_look(&self.org.name, look, &answers, None, now, &self.terms);
        recorded.await.unwrap().unwrap();
    }

    /// A purge of two conversations that waits, packed, for its intent.
    pub async fn packed(&self, ids: &[Uuid]) -> Uuid {
        let purge = self.eligible(ids).await;
        assert_eq!(self.engine.pack(&self.org).await.unwrap(), Packed::Job(2));
        purge
    }

    /// The deadline of the only job that runs passes, and what it carries is still there.
    pub async fn fail(&self, test: &TestService, ids: &[Uuid]) {
        test.sql("update jobs set submitted_at = submitted_at - interval '30 hours', run_at = now() where state = 'submitted' and overdue_since is null").await;
        let (state, again) = ("running".to_owned(), Duration::ZERO);
        self.poll(Polled::Working { state, records_processed: None, again }).await;
        self.look(ids, Presence::Present).await;
    }

    /// Holds these; no submit that names one leaves after the time that is told.
    pub async fn hold(&self, ids: &[Uuid]) -> Timestamp {
        let hold = NewHold {
            matter: "race".to_owned(),
            conversation_ids: ids.to_vec(),
            orgs: vec![self.org.name.clone()],
            reason: None,
            external_id: None,
            key_id: self.by.key_id,
            created_by: "racer".to_owned(),
            request_id: "race".to_owned(),
        };
        let held = self.steering.create_hold(&hold).await.unwrap();
        if let Held::New(created) = held { created.quiet_at } else { panic!("it is new: {held:?}") }
    }

    /// Does what the rival does; no call that it forbids leaves after the time that it tells.
    async fn rival(&self, purge: Uuid, ids: &[Uuid]) -> Timestamp {
        let reach = keys::Reach::all();
        let act = match self.rival {
            Rival::Cancel => Act::Cancel,
            Rival::Pause => Act::Pause,
            Rival::Stop => {
                return self.steering.stop_org(&reach, &self.org.name, self.by).await.unwrap().unwrap();
            }
            Rival::Hold => return self.hold(ids).await,
        };
        match self.steering.steer_purge(&reach, purge, act, self.by).await.unwrap().unwrap() {
            Steered::Done { quiet_at, .. } => quiet_at,
            Steered::Forbidden(state) => panic!("{act} is forbidden in {state}"),
        }
    }

    async fn now(&mut self) -> Timestamp {
        let now: SqlTimestamp =
            sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut self.connection).await.unwrap();
        now.to_jiff()
    }

    /// When the purge's intents were committed at the earliest, and until when their calls may begin.
    async fn intents(&mut self, purge: Uuid) -> Vec<(Timestamp, Timestamp)> {
        let rows: Vec<(SqlTimestamp, SqlTimestamp)> = sqlx::query_as(
            "select d.decided_at, j.call_before
             from decisions d join jobs j on j.id = d.job_id
             where d.purge_id = $1 and d.step = 'intend' and d.code = 'intent'",
        )
        .bind(purge)
        .fetch_all(&mut self.connection)
        .await
        .unwrap();
        rows.into_iter().map(|(at, before)| (at.to_jiff(), before.to_jiff())).collect()
    }

    /// Tells whether the rival came before the intent.
    async fn round(&mut self, round: u32) -> bool {
        let ids = [2 * round, 2 * round + 1].map(|id| Uuid::from_u128(u128::from(id)));
        let purge = self.packed(&ids).await;
        let [wait, head_start] =
            [self.wait_us, -self.wait_us].map(|us| Duration::from_micros(u64::try_from(us).unwrap_or(0)));
        let intending = async {
            in_exactly(head_start).await;
            self.engine.intend(&self.org, &self.terms, own_time()).await
        };
        let rival = async {
            in_exactly(wait).await;
            self.rival(purge, &ids).await
        };
        let (intended, quiet_at) = tokio::join!(intending, rival);
        let answered_at = self.now().await;
        let mut intended = vec![intended.unwrap()];
        for _ in 0..2 {
            intended.push(self.engine.intend(&self.org, &self.terms, own_time()).await.unwrap());
        }
        let intents = self.intents(purge).await;
        assert!(
            intents.iter().all(|(at, before)| *at <= answered_at && *before <= quiet_at),
            "{:?}: answered at {answered_at}, quiet at {quiet_at}: {intents:?}",
            self.rival
        );
        self.clear(intended).await;
        intents.is_empty()
    }

    /// Leaves nothing that waits, so that the next round is alone.
    async fn clear(&self, mut intended: Vec<Intended>) {
        if matches!(self.rival, Rival::Stop) {
            self.steering.resume_org(&keys::Reach::all(), &self.org.name, self.by).await.unwrap();
            intended.push(self.engine.intend(&self.org, &self.terms, own_time()).await.unwrap());
        }
        for intended in intended {
            let Intended::Intent(intent) = intended else { continue };
            let accepted = Accepted {
                upstream_job_id: intent.lease.job.to_string(),
                body_sha256: [0; 32],
                first_poll: Duration::from_hours(1),
                expected: None,
            };
            self.engine.record_accepted(&self.org.name, intent.lease, &accepted).await.unwrap();
        }
    }

    async fn run(mut self) -> u32 {
        let mut before = 0;
        for round in 0..ROUNDS {
            let came_before = self.round(round).await;
            before += u32::from(came_before);
            self.wait_us += if came_before { STEP_US } else { -STEP_US };
        }
        self.engine.close().await;
        self.steering.close().await;
        before
    }
}

pub fn own_time() -> jiff::Timestamp {
    (genesys_purge::app::World::machine().clock())()
}

fn answers(ids: &[Uuid], presence: Presence) -> Answers {
    let ended = "2020-01-01T00:00:00Z".parse().unwrap();
    let facts = Facts { presence, end: End::At(ended) };
    Answers {
        facts: ids.iter().map(|id| (*id, facts.clone())).collect(),
        told: ids.iter().copied().collect(),
        ..Answers::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_races_of_steering_against_intents_have_no_violation() {
    races(&Setup::new().role(Role::Api).start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_have_none_either_where_role_and_database_have_hostile_settings() {
    races(&Setup::new().role(Role::Api).database(hostile().await).start().await).await;
}

async fn races(test: &TestService) {
    let rivals = [Rival::Cancel, Rival::Pause, Rival::Stop, Rival::Hold];
    let mut lanes = Vec::new();
    for rival in rivals {
        lanes.push(tokio::spawn(Lane::open(test, rival).await.run()));
    }
    for (lane, rival) in lanes.into_iter().zip(rivals) {
        let before = lane.await.unwrap();
        assert!(
            (ROUNDS / 10..=ROUNDS * 9 / 10).contains(&before),
            "no race: {rival:?} came before in {before}"
        );
    }
    let sum =
        "select count(*) from slices s where get_byte(s.outcomes, 0) & 15 <> get_byte(s.outcomes, 1) & 15";
    assert_eq!(test.number(sum).await, 0, "both conversations of a purge share its fate");
}

/// The same from end to end: over HTTP, with the engine at work, judged by what arrived at Genesys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steering_that_races_with_the_engine_is_quiet_when_it_says() {
    const PURGES: usize = 60;
    let test = Setup::new()
        .sandbox(|org| {
            org.conversations = 4 * u32::try_from(PURGES).unwrap();
            org.max_concurrent_jobs = 1000;
            org.job_duration.base_ms = 20;
        })
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "20")
        .start()
        .await;
    let ids = test.ids_of(Kind::Eligible);
    let wait_us = AtomicU64::new(20_000);
    let race = async |round: usize| {
        let own = &ids[round * 4..][..4];
        let purge = test.purge(own).await;
        tokio::time::sleep(Duration::from_micros(wait_us.load(Ordering::Relaxed))).await;
        let act = if round.is_multiple_of(2) { "cancel" } else { "pause" };
        let (status, body) = test.post(&format!("/purges/{purge}/{act}"), &json!({})).await;
        let quiet_at = status.is_success().then(|| time_in(&body["quietAt"]));
        let came_too_late = body["counts"]["submitted"] != 0;
        let steer = |wait: u64| Some(if came_too_late { wait * 7 / 8 } else { wait * 8 / 7 + 100 });
        wait_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, steer).unwrap();
        (purge, quiet_at)
    };
    let mut steered = Vec::new();
    for wave in (0..PURGES).collect::<Vec<_>>().chunks(6) {
        steered.extend(futures_util::future::join_all(wave.iter().map(|&round| race(round))).await);
    }
    let (mut untouched, mut submitted) = (0, 0);
    for (round, (purge, quiet_at)) in steered.iter().enumerate() {
        let Some(quiet_at) = quiet_at else { continue };
        let body = test.purge_when(*purge, |body| body["counts"]["submitted"] == 0).await;
        let calls: Vec<Timestamp> = ids[round * 4..][..4].iter().flat_map(|&id| submits(&test, id)).collect();
        assert!(calls.iter().all(|at| at <= quiet_at), "{purge} is quiet at {quiet_at}, went at {calls:?}");
        *(if calls.is_empty() { &mut untouched } else { &mut submitted }) += 1;
        if body["state"] == "paused" {
            test.post(&format!("/purges/{purge}/resume"), &json!({})).await;
        }
    }
    assert!(untouched > 5 && submitted > 5, "no race: {untouched} before, {submitted} after their submit");
    futures_util::future::join_all(steered.iter().map(|(purge, _)| test.finished(*purge))).await;
    test.assert_no_breach();
    assert_books(&test).await;
}
