//! `demo`: the main job, end to end, on real parts: a real Postgres, a simulated Genesys and a webhook receiver over
//! real sockets, and a caller that speaks the public API alone. It ends with the question whether the result equals
//! the truth.

mod caller;
mod progress;
mod receiver;
mod report;
pub(super) mod stage;

use std::process::ExitCode;
use std::time::Instant;

use super::output;
use super::setting::Setting;
use super::signals::Signals;
use caller::{Caller, Submitted};
use stage::Stage;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many conversations to purge.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    conversations: u32,
    /// The random seed of the simulated organization.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep everything running afterwards, to look around.
    #[arg(long)]
    keep: bool,
    /// The port of the service on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

pub(super) async fn run(setting: &Setting, args: Args) -> anyhow::Result<ExitCode> {
    crate::telemetry::init(
        crate::config::LogFormat::Text,
        Some(setting.environment.log_filter()?.unwrap_or("error")),
    )?;
    let stage = Stage::build(setting, args.conversations, args.seed, args.port).await?;
    let mut signals = Signals::listen()?;
    let played = tokio::select! {
        played = play(&stage) => Some(played),
        () = signals.told_to_stop() => None,
    };
    if let (true, Some(Ok((purges, _)))) = (args.keep, &played) {
        keep(&stage, purges)?;
        signals.told_to_stop().await;
    }
    stage.strike().await?;
    // Who stops it before its end does not learn whether the result is true.
    let is_true = played.transpose()?.is_some_and(|(_, is_true)| is_true);
    Ok(if is_true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Plays the whole piece: the purges, and whether what came out is true.
async fn play(stage: &Stage) -> anyhow::Result<(Vec<Submitted>, bool)> {
    let caller = Caller::new(stage)?;
    let began = Instant::now();
    let mut purges = caller.submit_all(stage).await?;
    progress::watch(&caller, &mut purges, stage).await?;
    stage.receiver.settle(report::expected_events(&purges, stage.sandbox.sandbox())).await;
    let is_true = report::print(stage, &caller, &purges, began.elapsed()).await?;
    Ok((purges, is_true))
}

fn keep(stage: &Stage, purges: &[Submitted]) -> anyhow::Result<()> {
    let (url, key) = (&stage.url, &stage.key);
    let purge = purges.first().map(|purge| purge.id).unwrap_or_default();
    let fresh = stage.spare_ids();
    output::line(format_args!(
        "\nEverything keeps running until Ctrl-C. The service is at {url}, the key is\n  {key}\n"
    ))?;
    output::line(format_args!("  curl -s -H 'Authorization: Bearer {key}' {url}/purges/{purge}"))?;
    output::line(format_args!(
        "  curl -s -H 'Authorization: Bearer {key}' '{url}/purges/{purge}/conversations?outcome=on_hold&limit=3'"
    ))?;
    output::line(format_args!(
        "  curl -s -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n       \
         -d '{{\"conversationIds\": [\"{fresh}\"], \"reason\": \"trying it out\"}}' {url}/purges"
    ))
}
