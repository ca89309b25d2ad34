//! `webhooks`: what receivers check signatures with, and one to try things out; what became of webhooks, and sending them again.

mod deliveries;
mod endpoints;
mod inbox;
mod listen;

use std::process::ExitCode;

use super::caller::{EXIT_CODES, One, ended};
use super::output;
use super::setting::Setting;
use crate::app::retention_secret;
use crate::store::secrets::RETENTION_SECRET;
use crate::webhooks::new_secret;

pub(super) use inbox::{Arrived, Inbox};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Print the secret of RETENTION_WEBHOOK_URL.
    Secret,
    /// Put another secret in the place of the one that the database keeps for RETENTION_WEBHOOK_URL, and print it. The one before
    /// signs beside it for 24 hours.
    RotateSecret,
    /// Run a receiver on this machine that verifies and prints what arrives, for trying things out.
    Listen(listen::Args),
    /// List webhooks, newest first, as a caller of a running service.
    #[command(after_help = EXIT_CODES)]
    List(deliveries::ListArgs),
    /// Show a webhook: what it sends, and what became of each attempt.
    #[command(after_help = EXIT_CODES)]
    Show(One<deliveries::Which>),
    /// Redeliver a webhook, or all that were given up since a time, as a caller of a running service.
    #[command(after_help = EXIT_CODES)]
    Redeliver(deliveries::RedeliverArgs),
    /// The receivers that are told, as a caller of a running service.
    #[command(subcommand)]
    Endpoints(endpoints::Action),
}

pub(super) async fn run(setting: &Setting, action: Action) -> anyhow::Result<ExitCode> {
    match action {
        Action::Secret => secret(setting).await,
        Action::RotateSecret => rotate_secret(setting).await,
        Action::Listen(args) => listen::run(setting, args, async || own_secret(setting).await).await,
        Action::List(args) => ended(deliveries::list(setting, &args).await),
        Action::Show(args) => ended(deliveries::show(setting, &args).await),
        Action::Redeliver(args) => ended(deliveries::redeliver(setting, &args).await),
        Action::Endpoints(action) => ended(endpoints::run(setting, action).await),
    }
}

async fn secret(setting: &Setting) -> anyhow::Result<ExitCode> {
    output::line(own_secret(setting).await?)?;
    Ok(ExitCode::SUCCESS)
}

/// The secret of RETENTION_WEBHOOK_URL, made where there is none yet.
async fn own_secret(setting: &Setting) -> anyhow::Result<String> {
    let settings = setting.settings()?;
    let (database, store) = setting.database(&settings).await?;
    let secret = retention_secret(&settings, &setting.world, &store).await;
    store.close().await;
    database.stop().await?;
    Ok(secret?)
}

async fn rotate_secret(setting: &Setting) -> anyhow::Result<ExitCode> {
    let settings = setting.settings()?;
    anyhow::ensure!(
        settings.webhooks.secret.is_none(),
        "the secret is configured (RETENTION_WEBHOOK_SECRET): set the new one there, and keep the old one in \
         PURGE__WEBHOOKS__PREVIOUS_SECRET until the receiver knows the new one"
    );
    let (database, store) = setting.database(&settings).await?;
    let fresh = new_secret(setting.world.random_bytes());
    let rotated = store.rotate_secret(RETENTION_SECRET, &fresh).await;
    store.close().await;
    database.stop().await?;
    rotated?;
    output::line(fresh)?;
    Ok(ExitCode::SUCCESS)
}
