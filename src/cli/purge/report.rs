//! `purge report`: one row per conversation, streamed. One that breaks off never looks whole.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use reqwest::Response;
use tempfile::NamedTempFile;
use uuid::Uuid;

use super::watch::INTERRUPTED;
use crate::cli::caller::{Connection, Service, Trouble, no_answer};
use crate::cli::output;
use crate::cli::setting::Setting;
use crate::cli::signals::Signals;
use crate::domain::outcome::Outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The id of the purge.
    id: Uuid,
    /// What to write.
    #[arg(long, value_enum, default_value = "csv")]
    format: Form,
    /// Only conversations with this outcome.
    #[arg(long, value_parser = outcomes())]
    outcome: Option<String>,
    /// The file to write, which appears when the report is whole. Left out: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Form {
    Csv,
    Ndjson,
}

fn outcomes() -> clap::builder::PossibleValuesParser {
    Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect::<Vec<_>>().into()
}

pub(super) async fn run(setting: &Setting, args: Args) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let media_type = match args.format {
        Form::Csv => "text/csv",
        Form::Ndjson => "application/x-ndjson",
    };
    let query: Vec<_> = args.outcome.map(|outcome| ("outcome", outcome)).into_iter().collect();
    let mut report = service.download(&format!("/purges/{}/report", args.id), &query, media_type).await?;
    let mut signals = Signals::listen().map_err(anyhow::Error::new)?;
    let written = async {
        match &args.output {
            Some(file) => keep(&mut report, file).await,
            None => print(&mut report).await,
        }
    };
    tokio::select! {
        written = written => written.map(|()| ExitCode::SUCCESS),
        // What was begun is removed here.
        () = signals.told_to_stop() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

async fn print(report: &mut Response) -> Result<(), Trouble> {
    while let Some(piece) = next(report).await? {
        if !output::bytes(&piece)? {
            break;
        }
    }
    Ok(())
}

async fn keep(report: &mut Response, file: &Path) -> Result<(), Trouble> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let named = || file.display().to_string();
    let mut partial = NamedTempFile::new_in(folder).with_context(named)?;
    while let Some(piece) = next(report).await? {
        partial.write_all(&piece).with_context(named)?;
    }
    partial.persist(file).with_context(named)?;
    Ok(())
}

async fn next(report: &mut Response) -> Result<Option<bytes::Bytes>, Trouble> {
    report.chunk().await.map_err(|error| match no_answer(error) {
        Trouble::Lost(why) => {
            Trouble::Lost(format!("the report broke off, what came of it is not whole ({why})"))
        }
        trouble => trouble,
    })
}
