//! The ids of a file, read as the service will read them: so that a person can be asked about the right number.

use std::fs::File;
use std::io::{Read, Seek as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::intake::{self, Limits, Spooled};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    Csv,
    Ndjson,
    Json,
}

impl Format {
    pub(in crate::cli) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" | "txt" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    pub(in crate::cli) fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
            Self::Json => "application/json",
        }
    }
}

/// What a file asks for.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Counted {
    /// Repeats included.
    pub(in crate::cli) sent: u64,
    pub(in crate::cli) repeats: u64,
    /// The org that a JSON file names.
    pub(in crate::cli) org: Option<String>,
    pub(in crate::cli) is_dry_run: bool,
}

/// What a JSON file says, as far as a question depends on it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    conversation_ids: Vec<String>,
    org: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

impl Counted {
    pub(in crate::cli) async fn of(file: File, format: Format) -> anyhow::Result<Self> {
        if format == Format::Json {
            let mut text = Vec::new();
            tokio::fs::File::from_std(file).read_to_end(&mut text).await?;
            let Body { mut conversation_ids, org, dry_run } = serde_json::from_slice(&text)?;
            let sent = conversation_ids.len();
            for id in &mut conversation_ids {
                id.make_ascii_lowercase();
            }
            conversation_ids.sort_unstable();
            conversation_ids.dedup();
            let counted = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
            let repeats = counted(sent - conversation_ids.len());
            return Ok(Self { sent: counted(sent), repeats, org, is_dry_run: dry_run });
        }
        let ids = in_file(file, format).await?;
        Ok(Self { sent: ids.received(), repeats: ids.duplicates(), org: None, is_dry_run: false })
    }
}

/// What can be read once, read to its end into a file that nobody else sees and that vanishes with this process.
pub(in crate::cli) async fn kept(mut source: Box<dyn Read + Send>) -> anyhow::Result<File> {
    let read = tokio::task::spawn_blocking(move || {
        let mut file = tempfile::tempfile()?;
        std::io::copy(&mut source, &mut file)?;
        file.rewind()?;
        anyhow::Ok(file)
    });
    read.await?
}

/// The ids of a list that is no JSON.
pub(in crate::cli) async fn in_file(file: File, format: Format) -> anyhow::Result<Spooled> {
    let format = match format {
        Format::Csv => intake::Format::Csv,
        Format::Ndjson => intake::Format::Ndjson,
        Format::Json => anyhow::bail!("expected CSV or NDJSON"),
    };
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let limits = Limits { max_ids: u64::from(u32::MAX), ..Limits::default() };
    let source = ReaderStream::new(tokio::fs::File::from_std(file));
    Ok(intake::spool(format, source, folder.path(), limits).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_name_says() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("a.TXT", Some(Format::Csv)),
            ("b/a.ndjson", Some(Format::Ndjson)),
            ("a.jsonl", Some(Format::Ndjson)),
            ("a.csv.json", Some(Format::Json)),
            ("a.xlsx", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }

    #[tokio::test]
    async fn a_file_is_counted_as_the_service_will_count_it() {
        const ID: &str = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";
        let folder = tempfile::tempdir().unwrap();
        let counted = async |format: Format, text: String| {
            let path = folder.path().join("file");
            std::fs::write(&path, text).unwrap();
            Counted::of(File::open(&path).unwrap(), format).await
        };
        let expected = Counted { sent: 2, repeats: 1, org: None, is_dry_run: false };
        let upper = ID.to_uppercase();
        assert_eq!(
            counted(Format::Csv, format!("conversationId,x\n{ID},1\n{upper},2\n")).await.unwrap(),
            expected
        );
        assert_eq!(counted(Format::Ndjson, format!("\"{ID}\"\n\"{upper}\"\n")).await.unwrap(), expected);
        let body = format!(
            r#"{{"conversationIds": ["{ID}", "{upper}"], "org": "eu", "dryRun": true, "reason": "x"}}"#
        );
        let expected = Counted { org: Some("eu".to_owned()), is_dry_run: true, ..expected };
        assert_eq!(counted(Format::Json, body).await.unwrap(), expected);
        assert!(counted(Format::Csv, "no id\n".to_owned()).await.is_err());
    }
}
