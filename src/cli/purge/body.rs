//! What is uploaded: a file or standard input, a piece at a time, whatever its size.

use std::fs::File;
use std::io::{Read, stdin};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{mpsc, watch};

use crate::cli::caller::kept;

const PIECE: usize = 64 * 1024;
/// A service that takes no further piece for so long will not go on.
const STALLED_AFTER: Duration = Duration::from_mins(2);
/// From the last piece to the answer: ten million ids are written within a few minutes.
const ANSWER_WITHIN: Duration = Duration::from_mins(15);

/// Where the ids come from.
#[derive(Debug, Clone)]
pub(super) enum Input {
    File(PathBuf),
    Piped,
    /// One that was read to its end, and what it is called: it can be counted, and sent again.
    Kept(Arc<File>, String),
}

/// Where an upload stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// The next piece is not there yet: a pipe may take its time.
    Reading,
    /// So many bytes were handed over.
    Sent(u64),
    Done,
    /// The input can't be read.
    Broken(String),
}

#[derive(Debug, Clone)]
pub(super) struct Meter(Arc<watch::Sender<Stage>>);

impl Meter {
    pub(super) fn stage(&self) -> Stage {
        self.0.borrow().clone()
    }

    /// Returns when nothing has gone on for too long.
    pub(super) async fn stalled(&self) {
        let mut stage = self.0.subscribe();
        loop {
            let patience = match *stage.borrow_and_update() {
                Stage::Reading => None,
                Stage::Sent(_) | Stage::Broken(_) => Some(STALLED_AFTER),
                Stage::Done => Some(ANSWER_WITHIN),
            };
            // The sender lives as long as this meter: the channel can't close.
            let changed = stage.changed();
            match patience {
                None => drop(changed.await),
                Some(patience) if tokio::time::timeout(patience, changed).await.is_err() => return,
                Some(_) => {}
            }
        }
    }
}

impl Input {
    pub(super) fn new(name: &Path) -> Self {
        if name == Path::new("-") { Self::Piped } else { Self::File(name.to_owned()) }
    }

    /// Whether it can be read from its beginning once more: not so a pipe, whatever its name.
    pub(super) fn is_repeatable(&self) -> bool {
        match self {
            Self::File(path) => path.metadata().is_ok_and(|file| file.is_file()),
            Self::Piped => false,
            Self::Kept(..) => true,
        }
    }

    /// How many bytes there are, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        let about = match self {
            Self::File(path) => path.metadata(),
            Self::Kept(file, _) => file.metadata(),
            Self::Piped => return None,
        };
        about.ok().filter(std::fs::Metadata::is_file).map(|file| file.len())
    }

    /// What errors call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Piped => "standard input".to_owned(),
            Self::Kept(_, name) => name.clone(),
        }
    }

    /// It is read from standard input.
    pub(super) const fn is_piped(&self) -> bool {
        matches!(self, Self::Piped)
    }

    /// Reads what can't be read twice to its end, so that it can be counted before it is sent; a file stays as it is.
    pub(super) async fn kept(self) -> anyhow::Result<Self> {
        if self.is_repeatable() {
            return Ok(self);
        }
        let name = self.name();
        let source: Box<dyn Read + Send> = match &self {
            Self::File(path) => Box::new(File::open(path).with_context(|| name.clone())?),
            Self::Piped | Self::Kept(..) => Box::new(stdin()),
        };
        let file = kept(source).await.with_context(|| name.clone())?;
        Ok(Self::Kept(Arc::new(file), name))
    }

    /// The file, from its beginning.
    pub(super) fn file(&self) -> anyhow::Result<File> {
        match self {
            Self::File(path) => File::open(path).with_context(|| self.name()),
            Self::Kept(file, _) => Ok(file.try_clone()?),
            Self::Piped => anyhow::bail!("standard input can't be read twice"),
        }
    }

    /// Begins to read, from the beginning.
    pub(super) fn open(&self) -> anyhow::Result<(reqwest::Body, Meter)> {
        let reader: Box<dyn Read + Send> = match self {
            Self::File(path) => Box::new(File::open(path).with_context(|| self.name())?),
            Self::Piped => Box::new(stdin()),
            Self::Kept(file, _) => Box::new(FromBegin { file: Arc::clone(file), at: 0 }),
        };
        let (sender, receiver) = mpsc::channel(2);
        // A thread of its own: the runtime would wait at its end for a read of a terminal that never comes back.
        std::thread::Builder::new().name("input".to_owned()).spawn(move || read(reader, &sender))?;
        let meter = Meter(Arc::new(watch::Sender::new(Stage::Reading)));
        let body = reqwest::Body::wrap_stream(pieces(receiver, meter.clone()));
        Ok((body, meter))
    }
}

/// A reader of its own: another one that goes on for a moment does not move its place.
struct FromBegin {
    file: Arc<File>,
    at: u64,
}

impl Read for FromBegin {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.file.read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

/// Ends with the input, or when nobody takes the pieces any more.
fn read(mut reader: Box<dyn Read + Send>, sender: &mpsc::Sender<std::io::Result<Bytes>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let sent = match reader.read(&mut piece) {
            Ok(0) => return,
            Ok(length) => {
                piece.truncate(length);
                sender.blocking_send(Ok(piece.into()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(error) => {
                // It breaks the upload: what was read so far must not be taken for the whole.
                let _ = sender.blocking_send(Err(error));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn pieces(
    receiver: mpsc::Receiver<std::io::Result<Bytes>>,
    meter: Meter,
) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    stream::unfold((receiver, meter, 0), |(mut receiver, meter, sent)| async move {
        meter.0.send_replace(Stage::Reading);
        let piece = receiver.recv().await;
        let sent = sent + piece.as_ref().map_or(0, |piece| piece.as_ref().map_or(0, Bytes::len)) as u64;
        meter.0.send_replace(match &piece {
            None => Stage::Done,
            Some(Ok(_)) => Stage::Sent(sent),
            Some(Err(error)) => Stage::Broken(error.to_string()),
        });
        Some((piece?, (receiver, meter, sent)))
    })
}
