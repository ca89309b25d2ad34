//! `purge`: purges, from submit to report, as a caller of a running service.

mod act;
mod body;
mod display;
mod list;
mod progress;
mod question;
mod report;
mod show;
mod submit;
mod watch;
mod word;

use std::process::ExitCode;
use std::time::Duration;

use uuid::Uuid;

use super::caller::{Connection, EXIT_CODES, One, Service, Trouble, duration, ended};
use super::setting::Setting;
use super::signals::Signals;
use act::Act;

/// How long the service may be out of reach while a purge is watched.
const GIVE_UP_AFTER: &str = "10m";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Submit conversations to be purged; on a terminal it asks first. The id of the purge is all that is printed to standard
    /// output.
    #[command(after_help = EXIT_CODES)]
    Submit(submit::Args),
    /// Watch a purge until it is final.
    #[command(after_help = EXIT_CODES)]
    Watch(WatchArgs),
    /// List purges, newest first.
    #[command(after_help = EXIT_CODES)]
    List(list::Args),
    /// Show a purge: where it stands, and why it waits.
    #[command(after_help = EXIT_CODES)]
    Show(One<Which>),
    /// Cancel a purge: what was not submitted stays. This can't be taken back.
    #[command(after_help = EXIT_CODES)]
    Cancel(act::Args),
    /// Pause a purge: nothing more of it is submitted until it is resumed.
    #[command(after_help = EXIT_CODES)]
    Pause(act::Args),
    /// Let a paused purge go on.
    #[command(after_help = EXIT_CODES)]
    Resume(act::Args),
    /// Take up again what failed of a purge; on a terminal it asks first.
    #[command(after_help = EXIT_CODES)]
    Retry(act::RetryArgs),
    /// Print the report of a purge: one row per conversation.
    #[command(after_help = EXIT_CODES)]
    Report(report::Args),
}

/// A purge.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The id of the purge.
    id: Uuid,
}

#[derive(Debug, clap::Args)]
pub(super) struct WatchArgs {
    /// The id of the purge.
    id: Uuid,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    watching: Watching,
    /// Print the purge as JSON to standard output when it is final.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Watching {
    /// How long the service may be unreachable before watching ends: "30s", "10m", "2h".
    #[arg(long, value_name = "TIME", default_value = GIVE_UP_AFTER, value_parser = duration)]
    give_up_after: Duration,
}

pub(super) async fn run(setting: &Setting, action: Action) -> anyhow::Result<ExitCode> {
    ended(match action {
        Action::Submit(args) => submit::run(setting, args).await,
        Action::Watch(args) => watched(setting, args).await,
        Action::List(args) => list::run(setting, args).await,
        Action::Show(args) => show::run(setting, &args).await,
        Action::Cancel(args) => act::run(setting, &args, Act::Cancel).await,
        Action::Pause(args) => act::run(setting, &args, Act::Pause).await,
        Action::Resume(args) => act::run(setting, &args, Act::Resume).await,
        Action::Retry(args) => act::retry(setting, &args).await,
        Action::Report(args) => report::run(setting, args).await,
    })
}

async fn watched(setting: &Setting, args: WatchArgs) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let watch = watch::Watch {
        service: &service,
        give_up_after: args.watching.give_up_after,
        prints_json: args.json,
        seed: setting.world.seed(),
    };
    let mut signals = Signals::listen().map_err(anyhow::Error::new)?;
    watch.until_final(args.id, &mut signals).await
}
