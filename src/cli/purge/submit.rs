//! `purge submit`: one upload, which purges once however often it must be sent.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::body::{Input, Meter, Stage};
use super::display::Purge;
use super::progress::Progress;
use super::watch::{INTERRUPTED, Watch, pause};
use super::{Watching, question};
use crate::cli::caller::{Connection, Consent, DECLINED, Format, Service, Trouble, read};
use crate::cli::output;
use crate::cli::setting::Setting;
use crate::cli::signals::Signals;

/// So often an upload is tried, if it can be read again.
const TRIES: u32 = 5;
const BAR_APART: Duration = Duration::from_millis(100);
const USAGE: u8 = 2;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The file with the ids; `-` is standard input. CSV has a header with a column `conversationId`, or one id per line.
    file: PathBuf,
    /// The format of the file. Default: by its name (.csv and .txt, .ndjson and .jsonl, .json); standard input is CSV.
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    fields: Fields,
    /// Sent as Idempotency-Key: submitting again with the same key does not make a second purge. Default: a new key, so
    /// that a retry after a lost answer does not purge twice.
    #[arg(long, value_name = "KEY", value_parser = idempotency_key)]
    idempotency_key: Option<String>,
    /// Go on as `watch` does.
    #[arg(long)]
    watch: bool,
    /// Print the answers as JSON, one per line: the purge as it was accepted, and with --watch as it ended.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    watching: Watching,
}

/// What is said of a purge beside its ids; a JSON file says it itself.
#[derive(Debug, clap::Args)]
pub(super) struct Fields {
    /// The org; may be left out if the key reaches only one.
    #[arg(long)]
    pub(super) org: Option<String>,
    /// Why, for the record.
    #[arg(long)]
    reason: Option<String>,
    /// Your own reference.
    #[arg(long)]
    reference: Option<String>,
    /// A label; may be repeated.
    #[arg(long = "label", value_name = "KEY:VALUE", value_parser = label)]
    labels: Vec<String>,
    /// Only find out what would be purged.
    #[arg(long)]
    dry_run: bool,
    /// How many ids there are, repeats included: a truncated list deletes nothing.
    #[arg(long, value_name = "N")]
    pub(super) expected_count: Option<u64>,
}

impl Fields {
    /// As the query string has them.
    fn query(&self) -> Vec<(&'static str, String)> {
        let texts = [("org", &self.org), ("reason", &self.reason), ("reference", &self.reference)];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?)));
        let labels = self.labels.iter().map(|label| ("label", label.clone()));
        let dry_run = self.dry_run.then(|| ("dryRun", "true".to_owned()));
        let count = self.expected_count.map(|count| ("expectedCount", count.to_string()));
        texts.chain(labels).chain(dry_run).chain(count).collect()
    }
}

fn label(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("expected KEY:VALUE".to_owned()),
    }
}

fn idempotency_key(text: &str) -> Result<String, String> {
    let is_lawful = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_lawful {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 255 letters, digits and signs".to_owned())
    }
}

pub(super) async fn run(setting: &Setting, args: Args) -> Result<ExitCode, Trouble> {
    let input = Input::new(&args.file);
    let format = match (&input, args.format) {
        (_, Some(format)) => format,
        (Input::File(path), None) => match Format::of(path) {
            Some(format) => format,
            None => {
                return Ok(refuse(
                    "can't tell from its name what the file is: give --format csv, ndjson or json",
                ));
            }
        },
        (_, None) => Format::Csv,
    };
    let query = args.fields.query();
    if let (Format::Json, Some((name, _))) = (format, query.first()) {
        return Ok(refuse(&format!("a JSON file says everything itself: put {name} in the body")));
    }
    let service = Service::new(setting, &args.connection)?;
    let random = setting.world.random_bytes();
    let key = args.idempotency_key.unwrap_or_else(|| hex::encode(&random[..16]));
    let mut upload = Upload { service: &service, input, format, query, key, seed: setting.world.seed() };
    let mut signals = Signals::listen().map_err(anyhow::Error::new)?;
    if !args.fields.dry_run {
        let agreed = tokio::select! {
            agreed = question::agreed(&args.consent, &args.fields, &mut upload) => agreed?,
            () = signals.told_to_stop() => {
                output::note("interrupted, nothing was submitted");
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        if !agreed {
            return Ok(ExitCode::from(DECLINED));
        }
    }
    let progress = Progress::new();
    let accepted = tokio::select! {
        accepted = upload.accepted(&progress) => Some(accepted),
        () = signals.told_to_stop() => None,
    };
    progress.clear();
    let Some(accepted) = accepted else {
        output::note("interrupted");
        upload.advise();
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let (purge, answer) = accepted?;
    if args.json {
        output::line(&answer)?;
    } else {
        output::line(purge.id)?;
    }
    if !args.watch {
        output::note(purge.accepted());
        return Ok(ExitCode::SUCCESS);
    }
    let watch = Watch {
        service: &service,
        give_up_after: args.watching.give_up_after,
        prints_json: args.json,
        seed: setting.world.seed(),
    };
    watch.until_final(purge.id, &mut signals).await
}

/// A command line that clap can't see to make no sense.
fn refuse(why: &str) -> ExitCode {
    output::note(format_args!("error: {why}"));
    ExitCode::from(USAGE)
}

pub(super) struct Upload<'a> {
    pub(super) service: &'a Service,
    pub(super) input: Input,
    pub(super) format: Format,
    pub(super) query: Vec<(&'static str, String)>,
    key: String,
    seed: u64,
}

impl Upload<'_> {
    /// Sends it until it is accepted or refused; what can't be read again is sent once.
    async fn accepted(&self, progress: &Progress) -> Result<(Purge, Value), Trouble> {
        let (mut tries, mut may_be_done) = (0, false);
        loop {
            let sent = self.send(progress).await;
            let trouble = match sent.and_then(|answer| Ok((Purge::read(&answer)?, answer))) {
                Ok(accepted) => return Ok(accepted),
                Err(trouble) => trouble,
            };
            may_be_done |= trouble.may_be_done();
            tries += 1;
            if !trouble.may_pass() || !self.input.is_repeatable() || tries == TRIES {
                // However this try ended: one before it may have been accepted.
                if may_be_done {
                    progress.clear();
                    self.advise();
                }
                return Err(trouble);
            }
            let wait = trouble.wait().unwrap_or_else(|| pause(tries - 1, self.seed));
            if tries == 1 {
                for line in trouble.lines() {
                    progress.note(&line);
                }
                progress.note("trying again");
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// What to do where nobody can tell whether the service has it.
    fn advise(&self) {
        output::note(format_args!(
            "Whether it was accepted is not known. Submitted again with --idempotency-key {} it purges once.",
            self.key
        ));
    }

    async fn send(&self, progress: &Progress) -> Result<Value, Trouble> {
        let (body, meter) = self.input.open()?;
        let sending = self.request().body(body).send();
        tokio::pin!(sending);
        let size = self.input.size();
        let sent = tokio::select! {
            sent = &mut sending => sent,
            () = show(progress, &meter, size) => return Err(Trouble::Lost("it took too long".to_owned())),
        };
        match (sent.is_err(), meter.stage()) {
            (true, Stage::Broken(why)) => Err(anyhow::anyhow!(why).context(self.input.name()).into()),
            (true, Stage::Reading | Stage::Sent(_)) => Err(match read(sent).await {
                Err(Trouble::Lost(why)) => Trouble::Cut(why),
                Err(trouble) => trouble,
                Ok(answer) => return Ok(answer),
            }),
            _ => read(sent).await,
        }
    }

    fn request(&self) -> RequestBuilder {
        self.service
            .request(Method::POST, "/purges")
            .query(&self.query)
            .header(CONTENT_TYPE, self.format.media_type())
            .header("idempotency-key", &self.key)
    }
}

/// Shows an upload until nothing of it has moved for too long.
async fn show(progress: &Progress, meter: &Meter, size: Option<u64>) {
    let stalled = meter.stalled();
    tokio::pin!(stalled);
    loop {
        if tokio::time::timeout(BAR_APART, &mut stalled).await.is_ok() {
            return;
        }
        if let Stage::Sent(sent) = meter.stage() {
            progress.uploading(sent, size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_a_key_and_an_idempotency_key_fits_a_header() {
        assert!(label("team:a:b").is_ok() && label("team:").is_ok());
        assert!(label("team").is_err() && label(":x").is_err());
        assert!(idempotency_key("2024-06/run#1").is_ok());
        for text in ["", "a b", "ä", "a\n", &"x".repeat(256)] {
            assert!(idempotency_key(text).is_err(), "{text:?}");
        }
    }
}
