//! `openapi`: the document of the API, as it is committed.

use std::process::ExitCode;

use super::output;
use crate::api;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// JSON instead of YAML.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let document = if args.json { api::document_json() } else { api::document_yaml() };
    output::write(document.map_err(anyhow::Error::msg)?)?;
    Ok(ExitCode::SUCCESS)
}
