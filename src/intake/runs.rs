//! Ids with their numbers in the upload, in sorted runs on disk.
//!
//! Sorting piece by piece, and merging the pieces later, keeps memory constant for any upload: a table of what was
//! seen would grow, and hash partitions grow where one id is repeated millions of times.
//!
//! Invariant: within a run every id stands once, with the number of its first occurrence there.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use uuid::Uuid;

use super::repeats::Marks;

/// The length of a record on disk: the id, then its number, both big-endian.
const RECORD: usize = 20;

/// An id and its number in the upload. Ordered by id, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    // Two halves instead of a `u128`, whose alignment would cost a quarter of the sort's memory.
    high: u64,
    low: u64,
    pub(super) number: u32,
}

impl Record {
    pub(super) fn new(id: Uuid, number: u32) -> Self {
        let (high, low) = id.as_u64_pair();
        Self { high, low, number }
    }

    pub(super) fn id(&self) -> Uuid {
        Uuid::from_u64_pair(self.high, self.low)
    }

    fn id_bits(&self) -> u128 {
        (u128::from(self.high) << u64::BITS) | u128::from(self.low)
    }

    fn encode(self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.high.to_be_bytes());
        into.extend_from_slice(&self.low.to_be_bytes());
        into.extend_from_slice(&self.number.to_be_bytes());
    }

    fn decode(bytes: &[u8; RECORD]) -> Self {
        let [id @ .., a, b, c, d] = *bytes;
        Self::new(Uuid::from_bytes(id), u32::from_be_bytes([a, b, c, d]))
    }
}

impl Ord for Record {
    fn cmp(&self, other: &Self) -> Ordering {
        // One comparison of 128 bits takes half the time of two of 64, and sorting is most of the work.
        self.id_bits().cmp(&other.id_bits()).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Record {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Where a run lies in the file, in bytes.
#[derive(Debug, Clone, Copy)]
struct Run {
    begin: u64,
    end: u64,
}

/// The runs of one upload, written one after the other and then read side by side.
#[derive(Debug)]
pub(super) struct Runs {
    file: File,
    runs: Vec<Run>,
}

impl Runs {
    pub(super) fn new(file: File) -> Self {
        Self { file, runs: Vec::new() }
    }

    /// Sorts `records`, marks the repeats among them, and writes the others as a run. Leaves `records` empty.
    pub(super) fn append(&mut self, records: &mut Vec<Record>, marks: &mut Marks) -> io::Result<()> {
        const WRITE: usize = 64 * 1024 / RECORD;
        records.sort_unstable();
        records.dedup_by(|later, first| {
            let repeat = later.id_bits() == first.id_bits();
            if repeat {
                marks.mark(later.number);
            }
            repeat
        });
        let begin = self.runs.last().map_or(0, |run| run.end);
        let mut end = begin;
        let mut bytes = Vec::with_capacity(WRITE.min(records.len()) * RECORD);
        for part in records.chunks(WRITE) {
            bytes.clear();
            for record in part {
                record.encode(&mut bytes);
            }
            self.file.write_all(&bytes)?;
            end += bytes.len() as u64;
        }
        if end > begin {
            self.runs.push(Run { begin, end });
        }
        records.clear();
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.runs.len()
    }
}

/// Reads one run from its beginning to its end.
#[derive(Debug)]
pub(super) struct RunReader {
    rest: Run,
    buffer: Vec<u8>,
    read: usize,
    capacity: usize,
}

impl RunReader {
    /// Readers for all runs, each with room for `records` of them.
    pub(super) fn all(runs: &Runs, records: usize) -> Vec<Self> {
        let reader = |&rest| Self { rest, buffer: Vec::new(), read: 0, capacity: records * RECORD };
        runs.runs.iter().map(reader).collect()
    }

    /// The next record of the run that this reader was made for.
    pub(super) fn next(&mut self, runs: &Runs) -> io::Result<Option<Record>> {
        if self.read == self.buffer.len() {
            let left = usize::try_from(self.rest.end - self.rest.begin).unwrap_or(usize::MAX);
            self.buffer.resize(left.min(self.capacity), 0);
            runs.file.read_exact_at(&mut self.buffer, self.rest.begin)?;
            self.rest.begin += self.buffer.len() as u64;
            self.read = 0;
        }
        let record = self.buffer[self.read..].first_chunk().map(Record::decode);
        self.read += record.map_or(0, |_| RECORD);
        Ok(record)
    }
}
