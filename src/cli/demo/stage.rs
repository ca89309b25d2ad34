//! Builds what the demo plays on: the embedded Postgres, the simulated Genesys, the receiver, the service, a key.

use uuid::Uuid;

use super::receiver::Receiver;
use crate::app::{Database, Role, Service, World, connect};
use crate::cli::output;
use crate::cli::port::Port;
use crate::cli::setting::Setting;
use crate::config::{Environment, Settings, Sources};
use crate::domain::keys::{Caller, Reach, Scope, format_key};
use crate::postgres::{Durability, Storage};
use crate::sandbox::{self, FaultRule, JobDuration, Kind, Running, Sandbox, Shares};

pub(super) struct Stage {
    pub(super) sandbox: Running,
    pub(super) receiver: Receiver,
    pub(super) service: Service,
    pub(super) url: String,
    pub(super) key: String,
    /// Ids for the small purges: eligible ones that the large purge leaves out.
    pub(super) small: Vec<Uuid>,
    database: Database,
}

/// The size of a full job: the default of `max_batch`.
pub(super) const FULL_JOB: u32 = 500;

/// So many ids go into three small purges, three each, and one is left to try things with.
const SMALL: u32 = 10;

impl Stage {
    /// On an organization of so many conversations beside the few of the small purges.
    pub(super) async fn build(
        setting: &Setting,
        conversations: u32,
        seed: u64,
        port: u16,
    ) -> anyhow::Result<Self> {
        Port { number: port, option: "--port" }.free()?;
        output::line(
            "Starting an embedded Postgres, a simulated Genesys, a webhook receiver and the service ...",
        )?;
        let database = Database::embedded(&setting.environment, Storage::Temporary, Durability::Full).await?;
        let sandbox =
            Sandbox::start(organization(conversations + SMALL, seed), ([127, 0, 0, 1], 0).into(), false)
                .await?;
        sandbox.sandbox().add_fault(lost_answer()?)?;
        let secret = crate::webhooks::new_secret(setting.world.random_bytes());
        let receiver = Receiver::start(&secret).await?;
        let own = [
            ("RETENTION_WEBHOOK_URL", receiver.url.clone()),
            ("RETENTION_WEBHOOK_SECRET", secret),
            ("PURGE__SERVER__BIND", format!("127.0.0.1:{port}")),
        ];
        let settings = settings("DEFAULT", &sandbox, own)?;
        let key = prepare(&settings, &setting.world, &database).await?;
        let service = Service::start(&settings, &setting.world, &database.place, Role::All).await?;
        let address = service.address();
        let eligible = sandbox.sandbox().ids_of(Kind::Eligible);
        let small = eligible.into_iter().rev().take(SMALL as usize).collect();
        Ok(Self { sandbox, receiver, service, url: format!("http://{address}"), key, small, database })
    }

    /// An eligible id that no purge of the demo names.
    pub(super) fn spare_ids(&self) -> Uuid {
        self.small.last().copied().unwrap_or_default()
    }

    /// Takes everything down, in order.
    pub(super) async fn strike(self) -> anyhow::Result<()> {
        self.service.stop().await;
        self.receiver.stop();
        self.sandbox.stop().await;
        Ok(self.database.stop().await?)
    }
}

/// Conversations of every kind, jobs of a few seconds, some of which fail or do half their work, late deletions, answers
/// that leave ids out, and limits.
pub(in crate::cli) fn organization(conversations: u32, seed: u64) -> sandbox::Settings {
    sandbox::Settings {
        seed,
        conversations,
        job_duration: JobDuration { base_ms: 800, jitter_ms: 700 },
        failed_share: 0.05,
        partial_share: 0.1,
        job_unknown_ms: 100,
        deletion_lag_ms: 300,
        leave_out_share: 0.05,
        shares: Shares { conflict_named: 0.001, conflict_unnamed: 0.0003, ..Shares::default() },
        max_concurrent_jobs: 10,
        requests_per_minute: 1200,
        ..sandbox::Settings::default()
    }
}

/// The answer of one submit is lost after its job was made: the service must find that out before it submits again.
fn lost_answer() -> anyhow::Result<FaultRule> {
    let rule = serde_json::json!({ "call": "submit", "after": 2, "times": 1, "fault": { "reset": "after" } });
    Ok(serde_json::from_value(rule)?)
}

/// The settings of a service that works on this sandbox, as the org with this name, and on nothing else of this machine.
pub(in crate::cli) fn settings<const N: usize>(
    org: &str,
    sandbox: &Running,
    own: [(&str, String); N],
) -> anyhow::Result<Settings> {
    let organization = sandbox.sandbox().settings();
    let of_org = [
        ("BASE_URL", sandbox.url.as_str()),
        ("CLIENT_ID", &organization.client_id),
        ("CLIENT_SECRET", &organization.client_secret),
        ("MAX_CONCURRENT_JOBS", "10"),
        ("REQUESTS_PER_MINUTE", "1200"),
    ]
    .map(|(name, value)| (format!("PURGE__ORGS__{org}__{name}"), value.to_owned()));
    let of_engine = [
        // Jobs take a second here and deletions show within one, so what a job left need not be waited for for minutes.
        ("RESUBMIT_AFTER", "1s"),
        ("VERIFY_TIMEOUT", "10s"),
        ("POLL_INITIAL", "1s"),
        ("ABSENCE_GAP", "2s"),
        ("AMBIGUITY_GRACE", "4s"),
        // Jobs of this Genesys fail so often that chance can use up three attempts, and then the end is not the truth.
        ("MAX_ATTEMPTS", "20"),
    ]
    .map(|(name, value)| (format!("PURGE__ENGINE__{name}"), value.to_owned()));
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let environment: Environment = of_org.into_iter().chain(of_engine).chain(own).collect();
    // An empty folder: neither a file nor a .env of the machine can make it another one.
    let nowhere = tempfile::tempdir()?;
    Ok(Settings::load(&Sources { config_file: None, working_dir: nowhere.path().to_owned(), environment })?)
}

/// Brings the schema up to date and makes the caller's key.
async fn prepare(settings: &Settings, world: &World, database: &Database) -> anyhow::Result<String> {
    let store = connect(settings, world, &database.place).await?;
    store.migrate().await?;
    let key = format_key(&world.random_bytes());
    let scopes = vec![Scope::PurgesRead, Scope::PurgesWrite, Scope::HoldsWrite];
    store.create_key(&key, &Caller { name: "demo".to_owned(), scopes, reach: Reach::all() }).await?;
    store.close().await;
    Ok(key)
}
