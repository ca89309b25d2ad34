//! `sandbox`: the simulated Genesys, alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::output;
use super::setting::Setting;
use super::signals::Signals;
use crate::sandbox::{Sandbox, Settings};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// Listen on an address that other machines can reach; anybody who reaches it can change everything.
    #[arg(long)]
    allow_remote: bool,
    /// A JSON file of settings; GET /sandbox/settings shows them all.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// How many conversations there are; overrides the file.
    #[arg(long)]
    conversations: Option<u32>,
    /// The random seed; overrides the file.
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) async fn run(setting: &Setting, args: Args) -> anyhow::Result<ExitCode> {
    setting.start_logs(&setting.settings()?)?;
    let mut settings = match &args.settings {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            serde_json::from_str(&text).with_context(|| file.display().to_string())?
        }
        None => Settings::default(),
    };
    settings.conversations = args.conversations.unwrap_or(settings.conversations);
    settings.seed = args.seed.unwrap_or(settings.seed);
    let (id, secret) = (settings.client_id.clone(), settings.client_secret.clone());
    let mut signals = Signals::listen()?;
    let running = Sandbox::start(settings, args.listen, args.allow_remote).await?;
    output::line("The simulated Genesys is up. Point the service at it with")?;
    output::line(format_args!(
        "  export GENESYS_BASE_URL={} GENESYS_CLIENT_ID={id} GENESYS_CLIENT_SECRET={secret}",
        running.url
    ))?;
    output::line("and look at it with")?;
    output::line(format_args!("  curl {}/sandbox/truth", running.url))?;
    output::line(format_args!("  curl {}/sandbox/calls", running.url))?;
    output::line(format_args!("  curl {}/sandbox/conversations?format=csv", running.url))?;
    signals.told_to_stop().await;
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}
