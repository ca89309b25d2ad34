//! Spools ids as they come: in their order to one temporary file, and with their numbers, in sorted runs, to another.
//!
//! Invariant: an id that was pushed is on disk or in the buffers here, and no file has a name.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::merge::Merge;
use super::repeats::{Marks, Repeats};
use super::runs::{Record, Runs};

/// How many records are sorted at a time: 3 MiB of memory, and 77 runs for ten million ids.
pub(super) const RUN: usize = 128 * 1024;
/// How many bytes of ids are written at a time.
const WRITE: usize = 64 * 1024;

/// What a finished spool consists of.
#[derive(Debug)]
pub(super) struct Written {
    /// Every id as it was sent, 16 bytes each.
    pub(super) sequence: File,
    pub(super) runs: Arc<Runs>,
    pub(super) repeats: Repeats,
    pub(super) received: u32,
    /// SHA-256 of the sequence.
    pub(super) digest: [u8; 32],
}

/// Takes ids until it is told that there are no more.
#[derive(Debug)]
pub(super) struct Writer {
    sequence: File,
    unwritten: Vec<u8>,
    hasher: Sha256,
    runs: Runs,
    run_length: usize,
    unsorted: Vec<Record>,
    marks: Marks,
    received: u32,
}

impl Writer {
    /// Opens both files in `spool_dir`. `run_length` is [`RUN`] but in tests.
    pub(super) fn open(spool_dir: &Path, run_length: usize) -> io::Result<Self> {
        Ok(Self {
            sequence: tempfile::tempfile_in(spool_dir)?,
            unwritten: Vec::new(),
            hasher: Sha256::new(),
            runs: Runs::new(tempfile::tempfile_in(spool_dir)?),
            run_length,
            unsorted: Vec::new(),
            marks: Marks::default(),
            received: 0,
        })
    }

    /// Takes the next id. The caller ends before `u32::MAX` of them are passed.
    pub(super) fn push(&mut self, id: Uuid) -> io::Result<()> {
        self.unwritten.extend_from_slice(id.as_bytes());
        self.unsorted.push(Record::new(id, self.received));
        self.received += 1;
        if self.unwritten.len() >= WRITE {
            self.write()?;
        }
        if self.unsorted.len() >= self.run_length {
            self.runs.append(&mut self.unsorted, &mut self.marks)?;
        }
        Ok(())
    }

    /// Writes what is left and finds the repeats that lie in different runs.
    pub(super) fn finish(mut self) -> io::Result<Written> {
        self.write()?;
        self.runs.append(&mut self.unsorted, &mut self.marks)?;
        drop((self.unsorted, self.unwritten));
        let runs = Arc::new(self.runs);
        if runs.count() > 1 {
            mark_across(&runs, &mut self.marks)?;
        }
        Ok(Written {
            sequence: self.sequence,
            runs,
            repeats: self.marks.rank(self.received),
            received: self.received,
            digest: self.hasher.finalize().into(),
        })
    }

    fn write(&mut self) -> io::Result<()> {
        self.hasher.update(&self.unwritten);
        self.sequence.write_all(&self.unwritten)?;
        self.unwritten.clear();
        Ok(())
    }
}

/// Equal ids follow one another in the merge, the first occurrence before the others.
fn mark_across(runs: &Arc<Runs>, marks: &mut Marks) -> io::Result<()> {
    let mut first = None;
    for record in Merge::begin(Arc::clone(runs))? {
        let record = record?;
        if first == Some(record.id()) {
            marks.mark(record.number);
        } else {
            first = Some(record.id());
        }
    }
    Ok(())
}
