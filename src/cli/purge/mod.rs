//! `purge submit | watch` and `webhooks list | redeliver`: a caller of the service for the shell.
//!
//! Invariant: these commands know a URL and a key, and nothing of what is behind: they would work on any machine. The
//! key is never an argument, never printed, and goes to that URL alone.

mod body;
mod deliveries;
mod display;
mod problem;
mod progress;
mod service;
mod submit;
mod watch;
mod word;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use uuid::Uuid;

use super::output;
use super::setting::Setting;
use super::signals::Signals;
use problem::Trouble;
use service::Service;

pub(super) use deliveries::{ListArgs, RedeliverArgs};

/// What the exit code says; told by `--help` and docs/operations.md.
const EXIT_CODES: &str = "\
Exit codes:
    0  the purge was accepted; with --watch and for `watch`: it is completed
    1  something is wrong on this side: a file, a key, an address
    2  usage error
    3  the purge failed: some conversations should have been purged and were not
    4  the purge was canceled
    5  the service refused the request; what it said is printed
    6  the service is out of reach, or can't answer
  130  interrupted; a purge that was accepted goes on";

/// How long the service may be out of reach while a purge is watched.
const GIVE_UP_AFTER: &str = "10m";

/// Longer than anybody waits, and short enough to be added to any moment.
const LONGEST: Duration = Duration::from_hours(366 * 24);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Submit conversations to be purged; the id of the purge is all that is printed to standard output.
    #[command(after_help = EXIT_CODES)]
    Submit(submit::Args),
    /// Watch a purge until it is final.
    #[command(after_help = EXIT_CODES)]
    Watch(WatchArgs),
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

/// Where the service is. The key is read from PURGE_API_KEY or a file: as an argument it would stand in the list of
/// processes, for everybody on the machine to read.
#[derive(Debug, clap::Args)]
struct Connection {
    /// The URL of the service. Default: PURGE_URL, or else port 8080 of this machine.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The file whose last line is the API key. Default: PURGE_API_KEY. No option takes the key itself: it would show
    /// in the list of processes.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
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
        Action::Watch(args) => {
            let service = Service::new(setting, &args.connection)?;
            let watch = watch::Watch {
                service: &service,
                give_up_after: args.watching.give_up_after,
                prints_json: args.json,
                seed: setting.world.seed(),
            };
            let mut signals = Signals::listen()?;
            watch.until_final(args.id, &mut signals).await
        }
    })
}

pub(super) async fn list_webhooks(setting: &Setting, args: &ListArgs) -> anyhow::Result<ExitCode> {
    ended(deliveries::list(setting, args).await)
}

pub(super) async fn redeliver_webhooks(setting: &Setting, args: &RedeliverArgs) -> anyhow::Result<ExitCode> {
    ended(deliveries::redeliver(setting, args).await)
}

/// How the command ends: trouble is told, and has an exit code of its own.
fn ended(done: Result<ExitCode, Trouble>) -> anyhow::Result<ExitCode> {
    match done {
        Ok(code) => Ok(code),
        Err(Trouble::Ours(error) | Trouble::Unreadable(error)) => Err(error),
        Err(trouble) => {
            for line in trouble.lines() {
                output::note(line);
            }
            Ok(trouble.exit_code())
        }
    }
}

/// A length of time as the settings write it.
fn duration(text: &str) -> Result<Duration, String> {
    static FRIENDLY: SpanParser = SpanParser::new();
    match FRIENDLY.parse_unsigned_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err("expected a time such as 30s, 10m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_settings_write_them() {
        for (text, millis) in [("500ms", 500), ("5s", 5000), ("10m", 600_000), ("2h", 7_200_000), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "m", "-1s", "99999999999999999999s", "5000000h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
