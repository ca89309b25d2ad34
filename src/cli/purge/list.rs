//! `purge list`: newest first, a row each.

use std::process::ExitCode;

use serde_json::Value;

use super::display::Purge;
use crate::cli::caller::{ListArgs, Service, Trouble, moment, print_list, text};
use crate::cli::setting::Setting;
use crate::domain::state::PurgeState;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only those in this state.
    #[arg(long, value_parser = states())]
    state: Option<String>,
    /// Only those of this org.
    #[arg(long)]
    org: Option<String>,
    /// Only those with exactly this reference.
    #[arg(long)]
    reference: Option<String>,
    /// Only those with this label.
    #[arg(long, value_name = "KEY:VALUE")]
    label: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

fn states() -> clap::builder::PossibleValuesParser {
    PurgeState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().into()
}

pub(super) async fn run(setting: &Setting, args: Args) -> Result<ExitCode, Trouble> {
    let Args { state, org, reference, label, list } = args;
    let service = Service::new(setting, &list.connection)?;
    let filters = vec![("state", state), ("org", org), ("reference", reference), ("label", label)];
    let heads = &["id", "created", "state", "done", "org", "by", "reference"];
    print_list(&service, "/purges", filters, &list, heads, row).await
}

fn row(purge: &Value) -> Vec<String> {
    let done = Purge::read(purge)
        .map_or_else(|_| "-".to_owned(), |purge| format!("{}/{}", purge.done(), purge.total()));
    let state = if purge["dryRun"] == true { "(dry)" } else { "" };
    let state = format!("{}{state}", text(purge, "/state"));
    vec![
        text(purge, "/id"),
        moment(purge, "/createdAt"),
        state,
        done,
        text(purge, "/org"),
        text(purge, "/requestedBy"),
        text(purge, "/reference"),
    ]
}
