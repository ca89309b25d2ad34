//! Checked ids, ready to be read as often as wanted: in the order of the request, or sorted by id.
//!
//! Reading is blocking work. The iterators own what they read from, so they can be moved to a thread of their own and
//! feed a channel from there, both at once if need be.
//!
//! Invariant: both ways of reading agree on every id and its ordinal, and neither yields a repeat.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::IntakeError;
use super::merge::Merge;
use super::repeats::{Marks, Repeats};
use super::runs::Runs;
use super::writer::Written;

/// How many ids are read from disk at a time: 64 KiB.
const WINDOW: u32 = 4096;
/// The length of an id on disk.
const ID: usize = 16;

/// The ids of one request, checked and counted.
///
/// An ordinal is the position of an id among the distinct ones, in the order of their first appearance, from 0.
#[derive(Debug)]
pub struct Spooled {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    received: u32,
    repeats: Repeats,
    digest: [u8; 32],
    place: Place,
}

/// Where the ids are, with repeats.
#[derive(Debug)]
enum Place {
    Memory {
        sequence: Vec<Uuid>,
        /// The numbers of all ids, sorted by id and then by number.
        sorted: Vec<u32>,
    },
    Disk {
        sequence: File,
        runs: Arc<Runs>,
    },
}

impl Spooled {
    /// Takes a list that is in memory anyway, since its size is limited elsewhere (`intake.max_json`).
    pub fn from_list(ids: Vec<Uuid>) -> Self {
        let received =
            u32::try_from(ids.len()).expect("a list of 2^32 ids passes every limit on a request's size");
        let mut sorted: Vec<u32> = (0..received).collect();
        sorted.sort_unstable_by_key(|&number| (ids[number as usize], number));
        let mut marks = Marks::default();
        for pair in sorted.windows(2) {
            if ids[pair[0] as usize] == ids[pair[1] as usize] {
                marks.mark(pair[1]);
            }
        }
        let mut hasher = Sha256::new();
        for id in &ids {
            hasher.update(id.as_bytes());
        }
        Self::hold(Held {
            received,
            repeats: marks.rank(received),
            digest: hasher.finalize().into(),
            place: Place::Memory { sequence: ids, sorted },
        })
    }

    pub(super) fn from_disk(written: Written) -> Self {
        let Written { sequence, runs, repeats, received, digest } = written;
        Self::hold(Held { received, repeats, digest, place: Place::Disk { sequence, runs } })
    }

    fn hold(held: Held) -> Self {
        Self { held: Arc::new(held) }
    }

    /// How many ids were sent, repeats included.
    pub fn received(&self) -> u64 {
        self.held.received.into()
    }

    /// How many different ids were sent. Exact.
    pub fn distinct(&self) -> u64 {
        self.received() - self.duplicates()
    }

    /// They are in memory: reading them waits for nothing.
    pub fn is_at_hand(&self) -> bool {
        matches!(self.held.place, Place::Memory { .. })
    }

    /// How many of the ids sent repeat an earlier one.
    pub fn duplicates(&self) -> u64 {
        self.held.repeats.count().into()
    }

    /// SHA-256 over the ids as they were sent, repeats included, in their order, 16 bytes each.
    ///
    /// Two requests with one digest carry the same ids, whatever their formats are.
    pub fn digest(&self) -> [u8; 32] {
        self.held.digest
    }

    /// The distinct ids in the order of their first appearance, so many at a time, but for the last.
    pub fn ids(&self, at_once: usize) -> Ids {
        Ids { held: Arc::clone(&self.held), at_once, next: 0, window: VecDeque::new() }
    }

    /// The distinct ids sorted, each with its ordinal.
    pub fn index(&self) -> Result<Index, IntakeError> {
        let order = match &self.held.place {
            Place::Memory { .. } => Order::Memory { next: 0 },
            Place::Disk { runs, .. } => Order::Disk(Merge::begin(Arc::clone(runs))?),
        };
        Ok(Index { held: Arc::clone(&self.held), order })
    }
}

impl Held {
    /// The ids as they were sent, from this number on, at most [`WINDOW`] of them.
    fn sent(&self, from: u32) -> io::Result<Vec<Uuid>> {
        let count = (self.received - from).min(WINDOW) as usize;
        match &self.place {
            Place::Memory { sequence, .. } => Ok(sequence[from as usize..][..count].to_vec()),
            Place::Disk { sequence, .. } => {
                let mut bytes = vec![0; count * ID];
                sequence.read_exact_at(&mut bytes, u64::from(from) * ID as u64)?;
                let (ids, _) = bytes.as_chunks::<ID>();
                Ok(ids.iter().copied().map(Uuid::from_bytes).collect())
            }
        }
    }
}

/// What [`Spooled::ids`] returns. Ends after an error.
#[derive(Debug)]
pub struct Ids {
    held: Arc<Held>,
    at_once: usize,
    /// The number of the next id to read.
    next: u32,
    /// Distinct ids that were read and not yielded.
    window: VecDeque<Uuid>,
}

impl Ids {
    fn fill(&mut self) -> io::Result<()> {
        while self.window.len() < self.at_once && self.next < self.held.received {
            let sent = self.held.sent(self.next)?;
            for id in sent {
                if !self.held.repeats.contains(self.next) {
                    self.window.push_back(id);
                }
                self.next += 1;
            }
        }
        Ok(())
    }
}

impl Iterator for Ids {
    type Item = Result<Vec<Uuid>, IntakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.fill() {
            self.next = self.held.received;
            self.window.clear();
            return Some(Err(error.into()));
        }
        let slice: Vec<Uuid> = self.window.drain(..self.window.len().min(self.at_once)).collect();
        (!slice.is_empty()).then_some(Ok(slice))
    }
}

/// What [`Spooled::index`] returns. Ends after an error.
#[derive(Debug)]
pub struct Index {
    held: Arc<Held>,
    order: Order,
}

#[derive(Debug)]
enum Order {
    Memory { next: usize },
    Disk(Merge),
}

impl Index {
    /// The next id by value, repeats included, and its number.
    fn advance(&mut self) -> Option<io::Result<(Uuid, u32)>> {
        match (&mut self.order, &self.held.place) {
            (Order::Memory { next }, Place::Memory { sequence, sorted }) => {
                let number = *sorted.get(*next)?;
                *next += 1;
                Some(Ok((sequence[number as usize], number)))
            }
            (Order::Disk(merge), _) => Some(merge.next()?.map(|record| (record.id(), record.number))),
            (Order::Memory { .. }, Place::Disk { .. }) => None,
        }
    }
}

impl Iterator for Index {
    type Item = Result<(Uuid, u32), IntakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.advance()? {
                Ok((_, number)) if self.held.repeats.contains(number) => {}
                Ok((id, number)) => return Some(Ok((id, self.held.repeats.ordinal(number)))),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}
