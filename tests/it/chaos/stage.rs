//! The environment: a separate Postgres server, a simulated Genesys, a receiver, and replicas of the service.

use std::sync::Mutex;
use std::time::Duration;

use genesys_purge::app::World;
use genesys_purge::sandbox::{self, DeletedLooks, JobDuration, Sandbox, Shares};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::replicas::Replicas;
use super::schedule::REPLICAS;
use crate::support::cluster::{Machine, Running};
use crate::support::postgres::TestDatabase;
use crate::support::receiver::{Receiver, SECRET};

const SERVER: &str = "server";
pub const SLOTS: u32 = 24;
pub const PER_MINUTE: u32 = 1200;

/// The order is that in which they end.
pub struct Stage {
    pub replicas: Replicas,
    server: tokio::sync::Mutex<Option<Running>>,
    machine: Machine,
    pub database: TestDatabase,
    pub sandbox: sandbox::Running,
    pub receiver: Receiver,
    /// From when until when something was down.
    outages: Mutex<Vec<(Timestamp, Timestamp)>>,
    pub kills: Mutex<usize>,
    pub restarts: Mutex<usize>,
}

/// An organization in which everything happens, and often.
fn organization(seed: u64, conversations: usize) -> sandbox::Settings {
    sandbox::Settings {
        seed,
        conversations: conversations.try_into().unwrap(),
        shares: Shares {
            eligible: 0.78,
            held: 0.05,
            young: 0.05,
            active: 0.03,
            deleted: 0.03,
            unknown: 0.03,
            conflict_named: 0.0005,
            conflict_unnamed: 0.0002,
            unreadable_end: 0.02,
        },
        job_duration: JobDuration { base_ms: 500, jitter_ms: 1_500 },
        job_unknown_ms: 100,
        deletion_lag_ms: 200,
        failed_share: 0.1,
        partial_share: 0.12,
        leave_out_share: 0.1,
        deleted_looks: DeletedLooks::Mixed,
        max_concurrent_jobs: SLOTS,
        requests_per_minute: PER_MINUTE,
        ..sandbox::Settings::default()
    }
}

/// Short waits, and the limits that the organization really has.
fn variables(
    database: &TestDatabase,
    sandbox: &sandbox::Running,
    receiver: &Receiver,
) -> Vec<(String, String)> {
    let settings = sandbox.sandbox().settings();
    let retries = ["400ms"; 50].join(",");
    // With one attempt many purges fail and are retried; with two their conversations go again by themselves.
    let attempts = (1 + settings.seed % 2).to_string();
    [
        ("DATABASE_URL", database.url().as_str()),
        ("GENESYS_BASE_URL", &sandbox.url),
        ("GENESYS_CLIENT_ID", &settings.client_id),
        ("GENESYS_CLIENT_SECRET", &settings.client_secret),
        ("RETENTION_WEBHOOK_URL", &receiver.url),
        ("RETENTION_WEBHOOK_SECRET", SECRET),
        ("PURGE__SERVER__BIND", "127.0.0.1:0"),
        ("PURGE__TELEMETRY__LOG_FORMAT", "json"),
        ("PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE", &PER_MINUTE.to_string()),
        ("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", &SLOTS.to_string()),
        ("PURGE__ORGS__DEFAULT__MAX_BATCH", "200"),
        ("PURGE__ORGS__DEFAULT__DETAILS_BATCH", "200"),
        ("PURGE__ENGINE__LEASE", "45s"),
        ("PURGE__ENGINE__INTENT_TTL", "7s"),
        ("PURGE__ENGINE__POLL_INITIAL", "200ms"),
        ("PURGE__ENGINE__POLL_MAX", "2s"),
        ("PURGE__ENGINE__ABSENCE_GAP", "200ms"),
        ("PURGE__ENGINE__AMBIGUITY_GRACE", "3s"),
        ("PURGE__ENGINE__RESUBMIT_AFTER", "500ms"),
        ("PURGE__ENGINE__VERIFY_TIMEOUT", "1500ms"),
        ("PURGE__ENGINE__MAX_ATTEMPTS", &attempts),
        ("PURGE__WEBHOOKS__TIMEOUT", "2s"),
        ("PURGE__WEBHOOKS__RETRY_SCHEDULE", &retries),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

pub fn now() -> Timestamp {
    World::machine().clock()()
}

impl Stage {
    /// Everything runs.
    pub async fn set(seed: u64, conversations: usize) -> Self {
        let machine = Machine::new();
        machine.init(SERVER);
        let server = machine.start(SERVER).await;
        let database = machine.database(&server).await;
        let organization = organization(seed, conversations);
        let sandbox = Sandbox::start(organization, ([127, 0, 0, 1], 0).into(), false).await.unwrap();
        let receiver = Receiver::start().await;
        let replicas = Replicas::new(variables(&database, &sandbox, &receiver));
        let stage = Self {
            replicas,
            server: tokio::sync::Mutex::new(Some(server)),
            machine,
            database,
            sandbox,
            receiver,
            outages: Mutex::default(),
            kills: Mutex::default(),
            restarts: Mutex::default(),
        };
        stage.start_all().await;
        stage
    }

    async fn start_all(&self) {
        futures_util::future::join_all((0..REPLICAS).map(|replica| self.replicas.start(replica))).await;
    }

    /// Kills a replica, if it runs, and starts it again after a while.
    pub async fn kill_replica(&self, replica: usize, down: Duration) {
        let from = now();
        if self.replicas.kill(replica).await {
            self.note_outage(from);
            *self.kills.lock().unwrap() += 1;
            tokio::time::sleep(down).await;
            self.replicas.start(replica).await;
        }
    }

    /// The server of the database dies, and comes back after a while.
    pub async fn kill_database(&self, down: Duration) {
        let mut server = self.server.lock().await;
        let from = now();
        server.take().unwrap().kill();
        tokio::time::sleep(down).await;
        *server = Some(self.machine.start(SERVER).await);
        self.note_outage(from);
        *self.restarts.lock().unwrap() += 1;
    }

    fn note_outage(&self, from: Timestamp) {
        self.outages.lock().unwrap().push((from, now()));
    }

    /// Somebody who was told something then may have died before he could write it down.
    pub fn may_be_forgotten(&self, told_at: Timestamp) -> bool {
        let written_by = told_at + SignedDuration::from_secs(1);
        self.outages.lock().unwrap().iter().any(|(from, until)| *from <= written_by && told_at <= *until)
    }

    /// Everything dies at once and stays dead for as long as a lease lives. Only so much of that is waited for as upstream
    /// needs to end what it has; by the rest the times of all that is put off are moved.
    pub async fn end_of_the_world(&self) {
        for replica in 0..REPLICAS {
            if self.replicas.kill(replica).await {
                *self.kills.lock().unwrap() += 1;
            }
        }
        self.kill_database(Duration::from_millis(2_300)).await;
        self.database
            .sql(
                "update jobs
                 set lease_until = lease_until - interval '1 minute', run_at = run_at - interval '1 minute'
                 where state <> 'done';
                 update slices
                 set lease_until = lease_until - interval '1 minute', run_at = run_at - interval '1 minute'
                 where state <> 'settled';
                 update endpoint_health set open_until = least(open_until, clock_timestamp());
                 update orgs set probe_at = probe_at - interval '1 minute' where probe_at is not null;
                 update purges set ask_at = next_ask(id, ask_turn_at) where ask_at is not null;
                 -- Their leases are longer each time that nothing was recorded.
                 update deliveries
                 set lease_until = least(lease_until, clock_timestamp()) - interval '1 minute',
                     run_at = run_at - interval '1 minute'
                 where state = 'pending'",
            )
            .await;
        self.start_all().await;
    }

    /// From now on every call is answered, and jobs do what they say.
    pub fn calm_down(&self) {
        let upstream = self.sandbox.sandbox();
        self.receiver.answer_as_usual();
        upstream.clear_faults();
        upstream.patch_settings(json!({ "failedShare": 0, "partialShare": 0, "leaveOutShare": 0 })).unwrap();
    }
}
