//! `webhooks secret`: what the operator's receiver checks signatures with.

use std::process::ExitCode;

use super::output;
use super::setting::Setting;
use crate::app::retention_secret;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Print the secret of RETENTION_WEBHOOK_URL.
    Secret,
}

pub(super) async fn run(setting: &Setting, action: Action) -> anyhow::Result<ExitCode> {
    let Action::Secret = action;
    let settings = setting.settings()?;
    let (database, store) = setting.database(&settings).await?;
    let secret = retention_secret(&settings, &setting.world, &store).await;
    store.close().await;
    database.stop().await?;
    output::line(secret?)?;
    Ok(ExitCode::SUCCESS)
}
