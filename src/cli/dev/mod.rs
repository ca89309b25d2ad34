//! `dev`: what a team that integrates leaves running: the service, a simulated Genesys, an embedded Postgres and a page that
//! shows webhooks, on fixed ports, with data and a key that last.
//!
//! Invariant: dev reads neither settings nor the database of this machine's service, calls no Genesys but its own, and sends to
//! loopback alone. Its folder holds only what a dev made.

mod folder;
mod page;
mod secrets;
mod viewer;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::demo::stage::{organization, settings};
use super::output;
use super::port::Port;
use super::setting::Setting;
use super::signals::Signals;
use crate::app::files::raise_limit;
use crate::app::memory::keep_private;
use crate::app::{Database, Role, Service, connect, retention_secret};
use crate::config::{LogFormat, Settings};
use crate::domain::keys::{Caller, Reach, Scope, format_key};
use crate::postgres::{Durability, Storage, default_data_dir};
use crate::sandbox::{Clock, Running, Sandbox};
use crate::store::Store;
use crate::webhooks::Verifier;
use folder::Folder;
use secrets::Secrets;
use viewer::Viewer;

/// The org of a dev. It is no usual name: a real service on these data by mistake would have nothing to do.
const ORG: &str = "sandbox";
/// What the simulated Genesys has deleted is written down so often.
const REMEMBER_EVERY: Duration = Duration::from_secs(2);
/// How it ends where it was not let end in good order.
const AT_ONCE: u8 = 130;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The port of the service on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The port of the simulated Genesys on 127.0.0.1.
    #[arg(long, default_value_t = 9090)]
    sandbox_port: u16,
    /// The port of the page that shows webhooks on 127.0.0.1.
    #[arg(long, default_value_t = 8090)]
    webhooks_port: u16,
    /// How many conversations there are; with data from before: as many as before. [default: 10000]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    conversations: Option<u32>,
    /// The seed from which the simulated organization follows; with data from before: the one of before. [default: 1]
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) async fn run(setting: &Setting, args: Args) -> anyhow::Result<ExitCode> {
    crate::telemetry::init(LogFormat::Text, Some(setting.environment.log_filter()?.unwrap_or("warn")))?;
    keep_private();
    raise_limit();
    let ports = [
        (args.port, "--port"),
        (args.sandbox_port, "--sandbox-port"),
        (args.webhooks_port, "--webhooks-port"),
    ]
    .map(|(number, option)| Port { number, option });
    // All at once, so that no two can be the same; they are let go before those listen that will.
    let free = ports.map(Port::free).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let data_dir = setting.named_data_dir.clone().unwrap_or_else(default_folder);
    let folder = Folder::open(data_dir, args.conversations, args.seed)?;
    drop(free);
    output::line(
        "Starting an embedded Postgres, a simulated Genesys, a page for webhooks and the service ...",
    )?;
    let mut signals = Signals::listen()?;
    let running = tokio::select! {
        started = Dev::start(setting, &folder, ports) => started?,
        () = signals.told_to_stop() => return Ok(ExitCode::from(AT_ONCE)),
    };
    running.tell(setting, &folder)?;
    signals.told_to_stop().await;
    tokio::select! {
        stopped = running.stop(&folder) => stopped?,
        () = signals.told_to_stop() => return Ok(ExitCode::from(AT_ONCE)),
    }
    output::line(format_args!("Stopped. The data stay in {}", folder.path().display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Beside that of `serve`.
fn default_folder() -> std::path::PathBuf {
    let mut folder = default_data_dir().into_os_string();
    folder.push("-dev");
    folder.into()
}

/// All of it.
struct Dev {
    sandbox: Running,
    viewer: Viewer,
    service: Service,
    key: (Uuid, String),
    database: Database,
    _remembering: AbortOnDropHandle<()>,
}

impl Dev {
    async fn start(setting: &Setting, folder: &Folder, ports: [Port; 3]) -> anyhow::Result<Self> {
        let [port, sandbox_port, webhooks_port] = ports;
        let storage = Storage::Kept(folder.path().to_owned());
        let database = Database::embedded(&setting.environment, storage, Durability::Full).await?;
        let organization = organization(folder.conversations(), folder.seed());
        let sandbox = match folder.memory()? {
            Some(memory) => {
                Sandbox::recalling(organization, Clock::machine(), &memory, setting.world.seed())?
            }
            None => Sandbox::new(organization, Clock::machine())?,
        };
        let sandbox = Running::serve(Arc::new(sandbox), sandbox_port.address(), false).await?;
        let remembering = tokio::spawn(remember(Arc::clone(sandbox.sandbox()), folder.clone()));
        let (viewer, listener) = Viewer::bind(webhooks_port.address()).await?;
        let settings = settings(
            &ORG.to_uppercase(),
            &sandbox,
            [
                ("RETENTION_WEBHOOK_URL", format!("{}/hooks", viewer.url)),
                ("PURGE__SERVER__BIND", port.address().to_string()),
                ("PURGE__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8, ::1/128".to_owned()),
                ("PURGE__WEBHOOKS__ONLY_ALLOWED_NETWORKS", "true".to_owned()),
                ("PURGE__WEBHOOKS__ALLOWED_PORTS", "1-65535".to_owned()),
            ],
        )?;
        let (key, verifier, store) = prepare(setting, &settings, &database, folder).await?;
        let secrets = Secrets::new(store, listener.local_addr()?.port());
        let viewer = viewer.serve(listener, verifier, secrets, setting.world.clock());
        let service = Service::start(&settings, &setting.world, &database.place, Role::All).await?;
        Ok(Self {
            sandbox,
            viewer,
            service,
            key,
            database,
            _remembering: AbortOnDropHandle::new(remembering),
        })
    }

    fn tell(&self, setting: &Setting, folder: &Folder) -> anyhow::Result<()> {
        let (url, genesys) = (format!("http://{}", self.service.address()), &self.sandbox.url);
        let (key_id, key) = &self.key;
        let link = self.service.sign_in_link(&setting.world, *key_id);
        output::line(format_args!(
            "
Sign in, once and within 15 minutes, or later with the key:
  {link}

service   {url}
docs      {url}/docs
webhooks  {}
Genesys   {genesys}/sandbox/truth
key       {key}
data      {}

Try it in another terminal:
  export PURGE_URL={url}
  export PURGE_API_KEY={key}
  curl -s '{genesys}/sandbox/conversations?format=csv' | head -200 > ids.csv
  genesys-purge purge submit ids.csv --watch

It runs until Ctrl-C; the next start goes on with the same data and key.",
            self.viewer.url,
            folder.path().display(),
        ))
    }

    /// In order; what was deleted is written down when nobody deletes any more.
    async fn stop(self, folder: &Folder) -> anyhow::Result<()> {
        self.service.stop().await;
        folder.remember(&self.sandbox.sandbox().memory())?;
        self.viewer.stop();
        self.sandbox.stop().await;
        Ok(self.database.stop().await?)
    }
}

/// Brings the schema up to date. Returns the key, the one from before if it is still in force; the verifier of the operator's
/// webhooks; and the store, which has the secrets of endpoints.
async fn prepare(
    setting: &Setting,
    settings: &Settings,
    database: &Database,
    folder: &Folder,
) -> anyhow::Result<((Uuid, String), Verifier, Store)> {
    let store = connect(settings, &setting.world, &database.place).await?;
    store.migrate().await?;
    let kept = folder.key()?;
    let known = match &kept {
        Some(key) => store.find_caller(key, crate::store::Urgency::Ordinary).await?.in_force(),
        None => None,
    };
    let key = if let (Some(key), Some((id, _))) = (kept, known) {
        (id, key)
    } else {
        let key = format_key(&setting.world.random_bytes());
        let caller = Caller { name: "dev".to_owned(), scopes: Scope::ALL.to_vec(), reach: Reach::all() };
        let id = store.create_key(&key, &caller).await?;
        folder.keep_key(&key)?;
        (id, key)
    };
    let mut verifier = Verifier::default();
    verifier.add(&retention_secret(settings, &setting.world, &store).await?)?;
    Ok((key, verifier, store))
}

/// Writes down what is gone, so that a dev that is killed forgets no more than the last moment.
async fn remember(sandbox: Arc<Sandbox>, folder: Folder) {
    let mut last = None;
    loop {
        tokio::time::sleep(REMEMBER_EVERY).await;
        let (sandbox, folder, before) = (Arc::clone(&sandbox), folder.clone(), last.take());
        let looked = tokio::task::spawn_blocking(move || {
            let memory = sandbox.memory();
            if before.as_ref() != Some(&memory) {
                folder.remember(&memory).context("what the simulated Genesys has deleted")?;
            }
            anyhow::Ok(memory)
        });
        match looked.await {
            Ok(Ok(memory)) => last = Some(memory),
            Ok(Err(error)) => tracing::warn!("{error:#}"),
            Err(_) => return,
        }
    }
}
