//! `serve`: the service, until it is told to stop.

use std::process::ExitCode;

use super::setting::Setting;
use super::signals::Signals;
use crate::app::files::raise_limit;
use crate::app::memory::keep_private;
use crate::app::{Database, Role, Service, connect};
use crate::postgres::Storage;

/// How it ends where it was not let end in good order: as a program that a signal ended.
const AT_ONCE: u8 = 130;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The work of this process.
    #[arg(long, value_enum, default_value = "all")]
    role: Role,
}

pub(super) async fn run(setting: &Setting, args: Args) -> anyhow::Result<ExitCode> {
    let settings = setting.settings()?;
    settings.require_orgs()?;
    setting.start_logs(&settings)?;
    #[cfg(debug_assertions)]
    if let Some(point) = setting.environment.crash_point()? {
        crate::crash::arm(point);
    }
    keep_private();
    raise_limit();
    tracing::info!(files = ?settings.files, "read the settings");
    for file in &settings.exposed_files {
        tracing::warn!(
            file,
            "others on this machine can read or change a file with secrets; use chmod o-rw and chown"
        );
    }
    let mut signals = Signals::listen()?;
    let storage = Storage::Kept(setting.data_dir.clone());
    let database = tokio::select! {
        database = Database::own(&settings, &setting.environment, storage) => database?,
        () = signals.told_to_stop() => return Ok(ExitCode::SUCCESS),
    };
    if database.is_own() {
        let store = connect(&settings, &setting.world, &database.place).await?;
        store.migrate().await?;
        store.close().await;
    }
    let service = match Service::start(&settings, &setting.world, &database.place, args.role).await {
        Ok(service) => service,
        Err(error) => {
            database.stop().await?;
            return Err(error.into());
        }
    };
    let address = format!("http://{}", service.address());
    let health = service.health_address().map(tracing::field::display);
    tracing::info!(role = %format!("{:?}", args.role).to_lowercase(), address, health, orgs = settings.orgs.len(), "genesys-purge is up");
    signals.told_to_stop().await;
    tracing::info!("told to stop: no new work is begun");
    tokio::select! {
        () = service.stop() => {}
        () = signals.told_to_stop() => {
            tracing::warn!("told to stop again: ending at once; leases will run out");
            return Ok(ExitCode::from(AT_ONCE));
        }
    }
    database.stop().await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
