//! What all commands share that are callers of a running service: where it is, what its answers mean, how lists are read and
//! shown, and how a person is asked.
//!
//! Invariant: these commands know a URL and a key, and nothing of what is behind: they would work on any machine. The
//! key is never an argument, never printed, and goes to that URL alone.

mod ask;
mod ids;
mod list;
mod moment;
mod problem;
mod service;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::output;

pub(super) use ask::{Consent, DECLINED};
pub(super) use ids::{Counted, Format, in_file, kept};
pub(super) use list::{ListArgs, Pages, print_list};
pub(super) use moment::{Since, duration, since};
pub(super) use problem::{Trouble, plain};
pub(super) use service::{Service, no_answer, read, understood};
pub(super) use show::{Fields, Table, conversations, moment, text, width, width_of_notes};

/// What the exit code says; also in `--help` and docs/using.md.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
    0  done; for submit: accepted; with --watch and for watch: completed
    1  something is wrong on this side: a file, a key, an address; or you said no
    2  usage error
    3  the purge failed: some conversations should have been purged and were not
    4  the purge was canceled
    5  the service refused the request; what it said is printed
    6  the service is out of reach, or can't answer
  130  interrupted; a purge that was accepted goes on";

/// Where the service is. The key is read from PURGE_API_KEY or a file: as an argument it would stand in the list of
/// processes, for everybody on the machine to read.
#[derive(Debug, clap::Args)]
pub(super) struct Connection {
    /// Where the service is. Left out: PURGE_URL, else port 8080 of this machine.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The file whose last line is the API key. Left out: PURGE_API_KEY. There is no option that takes the key
    /// itself: it would show in the list of processes.
    #[arg(long, value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
}

/// One thing that is there, and how it is shown.
#[derive(Debug, clap::Args)]
pub(super) struct One<T: clap::FromArgMatches + clap::Args> {
    #[command(flatten)]
    pub(super) which: T,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) connection: Connection,
}

/// Why something is done, where the call takes it.
#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// Why, for the record.
    #[arg(long)]
    pub(super) reason: Option<String>,
}

impl Why {
    /// As the body of the call says it; none where there is nothing to say.
    pub(super) fn body(&self) -> Option<Value> {
        self.reason.as_ref().map(|reason| json!({ "reason": reason }))
    }
}

/// How the command ends: trouble is told, and has an exit code of its own.
pub(super) fn ended(done: Result<ExitCode, Trouble>) -> anyhow::Result<ExitCode> {
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

/// Prints an answer as JSON, or as a person reads it.
pub(super) fn print(answer: &Value, json: bool, shown: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
    if json { output::line(answer) } else { output::write(shown(answer)) }
}
