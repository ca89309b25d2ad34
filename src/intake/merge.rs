//! All records of an upload, sorted, by merging its runs.
//!
//! Invariant: the runs share one amount of memory, however many they are; only beyond 500 of them (65 million ids) does
//! it grow, by 4 kB a run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;
use std::sync::Arc;

use super::runs::{Record, RunReader, Runs};

/// How many records all runs together may hold in memory: 2 MB.
const BUFFERED: usize = 100_000;
/// How many each run holds at least, so that a read is worth its call.
const BUFFERED_MIN: usize = 200;

/// Yields every record of every run, ordered by id and then by number.
#[derive(Debug)]
pub(super) struct Merge {
    runs: Arc<Runs>,
    readers: Vec<RunReader>,
    /// The next record of each run that has one, and which run that is.
    heads: BinaryHeap<Reverse<(Record, usize)>>,
}

impl Merge {
    pub(super) fn begin(runs: Arc<Runs>) -> io::Result<Self> {
        let share = (BUFFERED / runs.count().max(1)).max(BUFFERED_MIN);
        let mut readers = RunReader::all(&runs, share);
        let mut heads = BinaryHeap::with_capacity(readers.len());
        for (run, reader) in readers.iter_mut().enumerate() {
            heads.extend(reader.next(&runs)?.map(|record| Reverse((record, run))));
        }
        Ok(Self { runs, readers, heads })
    }

    fn take_next(&mut self) -> io::Result<Option<Record>> {
        let Some(mut least) = self.heads.peek_mut() else { return Ok(None) };
        let Reverse((record, run)) = *least;
        match self.readers[run].next(&self.runs)? {
            Some(next) => least.0.0 = next,
            None => drop(PeekMut::pop(least)),
        }
        Ok(Some(record))
    }
}

impl Iterator for Merge {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.take_next();
        if taken.is_err() {
            self.heads.clear();
        }
        taken.transpose()
    }
}
