//! Whole uploads, from the stream to both ways of reading, against lists in memory.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::super::upload::Upload;
use super::super::writer::Writer;
use super::super::{BATCH, Format, IntakeError, Limits, Spooled, spool};
use super::{id, with_ids};

const AT_ONCE: usize = 500;
const LIMITS: Limits = Limits { max_ids: 1_000_000, max_line: 64 * 1024 };

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// How many open files of this process lie in the folder, deleted ones included.
fn open_files(folder: &Path) -> usize {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    files
        .filter_map(|file| file.ok()?.path().read_link().ok())
        .filter(|path| path.starts_with(folder))
        .count()
}

fn assert_nothing_left(folder: &TempDir) {
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(open_files(folder.path()), 0);
}

/// The same bytes for as long as anybody reads.
fn endless(piece: &[u8]) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Unpin + Send + use<> {
    let piece = Bytes::from(piece.repeat(100));
    stream::repeat_with(move || Ok(piece.clone()))
}

fn pieces(
    text: &[u8],
    cut: usize,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Unpin + Send + use<> {
    let pieces: Vec<_> = text.chunks(cut).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

/// Compares everything that can be asked of `spooled` with what a list in memory says.
fn assert_holds(spooled: &Spooled, sent: &[Uuid]) {
    let mut ordinals = HashMap::new();
    let mut distinct = Vec::new();
    for &id in sent {
        ordinals.entry(id).or_insert_with(|| {
            distinct.push(id);
            u32::try_from(distinct.len() - 1).unwrap()
        });
    }
    let mut index: Vec<(Uuid, u32)> = ordinals.into_iter().collect();
    index.sort_unstable();

    assert_eq!(spooled.received(), sent.len() as u64);
    assert_eq!(spooled.distinct(), distinct.len() as u64);
    assert_eq!(spooled.duplicates(), (sent.len() - distinct.len()) as u64);
    let bytes: Vec<u8> = sent.iter().flat_map(|id| *id.as_bytes()).collect();
    assert_eq!(spooled.digest(), <[u8; 32]>::from(Sha256::digest(bytes)));
    let slices: Vec<Vec<Uuid>> = spooled.ids(AT_ONCE).map(Result::unwrap).collect();
    let expected: Vec<&[Uuid]> = distinct.chunks(AT_ONCE).collect();
    assert_eq!(slices, expected);
    assert_eq!(spooled.index().unwrap().map(Result::unwrap).collect::<Vec<_>>(), index);
}

/// How a tool writes CSV.
#[derive(Debug, Clone)]
struct Dialect {
    mark: &'static str,
    header: bool,
    line_end: &'static str,
    delimiter: char,
    quote_all: bool,
    before: Vec<String>,
    after: Vec<String>,
    blank_every: usize,
    last_line_ends: bool,
}

impl Dialect {
    fn field(&self, text: &str) -> String {
        let special = |c| matches!(c, '"' | '\r' | '\n') || c == self.delimiter;
        if self.quote_all || text.contains(special) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    }

    fn row(&self, id: &str) -> String {
        let fields =
            self.before.iter().map(String::as_str).chain([id]).chain(self.after.iter().map(String::as_str));
        fields.map(|field| self.field(field)).collect::<Vec<_>>().join(&self.delimiter.to_string())
    }

    fn write(&self, ids: &[Uuid]) -> Vec<u8> {
        let header = self.header.then(|| self.row("conversationId"));
        let mut lines: Vec<String> = header.into_iter().collect();
        for (at, id) in ids.iter().enumerate() {
            if at % self.blank_every == 0 {
                lines.push(String::new());
            }
            lines.push(self.row(&id.to_string().to_uppercase()));
        }
        let last = if self.last_line_ends { self.line_end } else { "" };
        format!("{}{}{last}", self.mark, lines.join(self.line_end)).into_bytes()
    }
}

prop_compose! {
    fn dialect()(
        mark in prop::sample::select(vec!["", "\u{feff}"]),
        (header, quote_all, last_line_ends) in any::<(bool, bool, bool)>(),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        delimiter in prop::sample::select(vec![',', ';', '\t']),
        // Beside an id a text that begins or ends with another delimiter leaves the columns in doubt: it is refused.
        before in prop::collection::vec("([a-f0-9]([a-f0-9,;\t\"\r\n ]{0,10}[a-f0-9\"])?)?", 0..3),
        after in prop::collection::vec("([a-f0-9\"]([a-f0-9,;\t\"\r\n ]{0,10}[a-f0-9])?)?", 0..3),
        blank_every in 1_usize..9,
    ) -> Dialect {
        Dialect { mark, header, line_end, delimiter, quote_all, before, after, blank_every, last_line_ends }
    }
}

fn sent() -> impl Strategy<Value = Vec<Uuid>> {
    prop::collection::vec(0_u64..60, 1..150).prop_map(|numbers| numbers.into_iter().map(id).collect())
}

fn upload(format: Format, text: &[u8], cuts: &[usize]) -> Spooled {
    let folder = folder();
    let mut upload = Upload::begin(format, folder.path(), LIMITS).unwrap();
    let mut rest = text;
    for &cut in cuts.iter().cycle() {
        let (piece, behind) = rest.split_at(cut.min(rest.len()));
        upload.feed(piece).unwrap();
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    upload.finish().unwrap()
}

proptest! {
    #[test]
    fn any_dialect_of_csv_cut_anywhere_gives_the_ids_that_were_written(
        dialect in dialect(), sent in sent(), cuts in prop::collection::vec(1_usize..50, 1..8),
    ) {
        let text = dialect.write(&sent);
        assert_holds(&upload(Format::Csv, &text, &cuts), &sent);
    }

    #[test]
    fn ndjson_cut_anywhere_gives_the_ids_that_were_written(
        sent in sent(), objects in any::<bool>(), cuts in prop::collection::vec(1_usize..90, 1..8),
    ) {
        let line = |id: &Uuid| if objects { format!("{{\"n\":1,\"conversationId\":\"{id}\"}}\r\n") } else { format!("\"{id}\"\n") };
        let text: String = sent.iter().map(line).collect();
        assert_holds(&upload(Format::Ndjson, text.as_bytes(), &cuts), &sent);
    }

    #[test]
    fn repeats_are_found_within_runs_and_across_them(sent in sent(), run_length in 1_usize..40) {
        let folder = folder();
        let mut writer = Writer::open(folder.path(), run_length).unwrap();
        for &id in &sent {
            writer.push(id).unwrap();
        }
        assert_holds(&Spooled::from_disk(writer.finish().unwrap()), &sent);
    }

    #[test]
    fn a_list_in_memory_answers_like_an_upload(sent in sent()) {
        assert_holds(&Spooled::from_list(sent.clone()), &sent);
    }
}

#[tokio::test]
async fn an_upload_of_several_runs_and_many_windows_is_read_whole() {
    let folder = folder();
    // An odd multiplier visits every number of the range once; then a tenth of them comes again.
    let numbers = (0..150_000_u64).map(|n| n * 7_919 % 150_000);
    let sent: Vec<Uuid> = numbers.clone().chain(numbers.step_by(10)).map(id).collect();
    let text: Vec<u8> = sent.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect();
    let path = folder.path().to_owned();
    let spooled = tokio::spawn(async move { spool(Format::Csv, pieces(&text, 9_999), &path, LIMITS).await });
    let spooled = spooled.await.unwrap().unwrap();
    assert_holds(&spooled, &sent);
    assert_holds(&Spooled::from_list(sent.clone()), &sent);

    let (ids, index) = (spooled.ids(AT_ONCE), spooled.index().unwrap());
    drop(spooled);
    let read = tokio::task::spawn_blocking(move || {
        (ids.flat_map(Result::unwrap).count(), index.map(Result::unwrap).count())
    });
    assert_eq!(read.await.unwrap(), (150_000, 150_000));
    assert_nothing_left(&folder);
}

#[test]
fn one_id_sent_over_and_over_is_one_id() {
    let folder = folder();
    let mut writer = Writer::open(folder.path(), 10_000).unwrap();
    for _ in 0..100_000 {
        writer.push(id(1)).unwrap();
    }
    assert_holds(&Spooled::from_disk(writer.finish().unwrap()), &vec![id(1); 100_000]);
}

#[tokio::test]
async fn a_stream_that_breaks_leaves_no_file_and_tells_its_cause() {
    let folder = folder();
    let good = with_ids("#1\n").repeat(BATCH / 8);
    let broken = pieces(&good, 5_000).chain(stream::iter([Err(io::Error::other("connection reset"))]));
    let error = spool(Format::Csv, broken, folder.path(), LIMITS).await.unwrap_err();
    let IntakeError::Broken { source } = error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "connection reset");
    assert_nothing_left(&folder);
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_no_file() {
    let folder = folder();
    let (read_on, waits) = oneshot::channel();
    let good = with_ids("#1\n").repeat(BATCH / 8);
    let stalls = stream::once(async move {
        read_on.send(()).unwrap();
        std::future::pending::<io::Result<Bytes>>().await
    });
    let body = Box::pin(pieces(&good, 5_000).chain(stalls));
    let upload = spool(Format::Csv, body, folder.path(), LIMITS);
    tokio::select! {
        _ = upload => panic!("a stream that stalls has no end"),
        stalled = waits => stalled.unwrap(),
    }
    assert_nothing_left(&folder);
}

#[tokio::test]
async fn the_files_of_an_upload_have_no_name_while_they_are_in_use() {
    let folder = folder();
    let spooled = spool(Format::Csv, pieces(&with_ids("#1\n"), 9), folder.path(), LIMITS).await.unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(open_files(folder.path()), 2);
    drop(spooled);
    assert_nothing_left(&folder);
}

#[tokio::test]
async fn reading_stops_at_the_twentieth_bad_line() {
    let folder = folder();
    for (format, bad) in [(Format::Csv, "#1\nx\n"), (Format::Ndjson, "\"#1\"\nx\n")] {
        let error = spool(format, endless(&with_ids(bad)), folder.path(), LIMITS).await.unwrap_err();
        let IntakeError::BadLines { lines, more } = error else { panic!("{error:?}") };
        assert_eq!(
            lines.iter().map(|bad| bad.line).collect::<Vec<_>>(),
            (1..=20).map(|n| 2 * n).collect::<Vec<_>>()
        );
        assert!(more);
    }
    let bad = with_ids(&format!("#1\n{}", "x\n".repeat(19)));
    let error = spool(Format::Csv, pieces(&bad, 99), folder.path(), LIMITS).await.unwrap_err();
    assert!(matches!(error, IntakeError::BadLines { lines, more: false } if lines.len() == 19));
    assert_nothing_left(&folder);
}

#[tokio::test]
async fn what_has_no_end_is_refused_at_its_limit() {
    let folder = folder();
    let header = |text: &str| stream::iter([Ok(Bytes::from(text.to_owned()))]);
    let few = Limits { max_ids: 1_000, ..LIMITS };
    for (format, body) in [(Format::Csv, "#1\n"), (Format::Ndjson, "\"#1\"\n")] {
        let error = spool(format, endless(&with_ids(body)), folder.path(), few).await.unwrap_err();
        assert!(matches!(error, IntakeError::TooManyIds { limit: 1_000 }), "{error:?}");
    }
    let error = spool(Format::Csv, endless(b"x"), folder.path(), LIMITS).await.unwrap_err();
    assert!(matches!(error, IntakeError::BadLines { .. }), "{error:?}");
    let quote = header("conversationId\n\"").chain(endless(b"x\n"));
    let error = spool(Format::Csv, quote, folder.path(), LIMITS).await.unwrap_err();
    assert!(matches!(error, IntakeError::UnclosedQuote { line: 2 }), "{error:?}");
}

#[tokio::test]
async fn a_line_of_fifty_megabytes_is_one_bad_line() {
    let folder = folder();
    for (format, begin, end) in
        [(Format::Csv, "#1\n", "\n#2\nx\n"), (Format::Ndjson, "\"#1\"\n", "\n\"#2\"\nx\n")]
    {
        let part = |text: &str| stream::iter([Ok(Bytes::from(with_ids(text)))]);
        let long = endless(&[b'x'; 1_000]).take(500);
        let body = part(begin).chain(long).chain(part(end));
        let error = spool(format, body, folder.path(), LIMITS).await.unwrap_err();
        let IntakeError::BadLines { lines, more: false } = error else { panic!("{error:?}") };
        assert_eq!(lines.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 4]);
        assert!(lines[0].detail.contains("longer than 65536 bytes"), "{}", lines[0].detail);
    }
}

#[tokio::test]
async fn an_upload_without_an_id_is_refused() {
    let folder = folder();
    for (format, text) in [(Format::Csv, ""), (Format::Csv, "conversationId\n"), (Format::Ndjson, "\n")] {
        let error = spool(format, pieces(text.as_bytes(), 1), folder.path(), LIMITS).await.unwrap_err();
        assert!(matches!(error, IntakeError::Empty), "{error:?}");
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told_before_anything_is_read() {
    let folder = folder();
    let unread = stream::once(async { panic!("read") }).boxed();
    let spooled = spool::<_, io::Error>(Format::Csv, unread, &folder.path().join("missing"), LIMITS).await;
    assert!(matches!(spooled.unwrap_err(), IntakeError::Spool { .. }));
}

#[test]
fn a_file_that_is_cut_short_is_an_error_and_the_end() {
    let folder = folder();
    let mut writer = Writer::open(folder.path(), 2).unwrap();
    for number in 0..5 {
        writer.push(id(number)).unwrap();
    }
    let written = writer.finish().unwrap();
    written.sequence.set_len(20).unwrap();
    let mut ids = Spooled::from_disk(written).ids(AT_ONCE);
    assert!(matches!(ids.next(), Some(Err(IntakeError::Spool { .. }))));
    assert!(ids.next().is_none());
}
