//! Small purges that arrive at the same time are accepted together: they share one statement and one wait for the
//! disk.
//!
//! A caller who gives up before the statement begins leaves nothing. After that the purge may be accepted, as with any
//! lost answer; callers who need to know use an `Idempotency-Key`.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::Error as IoError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use super::first::{self, Draft};
use crate::store::{Store, StoreError, Urgency};

/// Concurrent statements: while one waits for the disk, the next one gathers purges.
const WRITERS: usize = 2;

/// Maximum purges per statement.
const AT_ONCE: usize = 64;

/// And maximum conversations, or a single purge, so that no statement takes much longer than the others.
const CONVERSATIONS_AT_ONCE: usize = 2_000;

/// When the purge was accepted; nothing if its key was revoked.
type Answer = Result<Option<Timestamp>, StoreError>;

/// Those who wait to be accepted; all clones are one.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Gathering(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    line: VecDeque<Entry>,
    writers: usize,
}

/// A waiting purge. The first to set the mark owns it: a writer, to write it, or its caller, to give it up.
#[derive(Debug)]
struct Entry {
    draft: Draft,
    is_taken: Arc<AtomicBool>,
    answer: oneshot::Sender<Answer>,
}

/// Gives up a purge that no writer has taken, when its caller goes away.
struct Wish(Arc<AtomicBool>);

impl Wish {
    fn is_given_up(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Store {
    /// Accepts a small purge with whatever else comes just now. Waits for its turn no longer than `patience`.
    pub(super) async fn accept_together(&self, draft: Draft, patience: Duration) -> Answer {
        let (answer, mut answered) = oneshot::channel();
        let wish = Wish(Arc::default());
        if let Some(writer) = self.gathering.push(Entry { draft, is_taken: Arc::clone(&wish.0), answer }) {
            tokio::spawn(write_all(self.clone(), writer));
        }
        let told = match timeout(patience, &mut answered).await {
            Ok(told) => told,
            Err(_) if wish.is_given_up() => return Err(StoreError::NoTurn),
            // A statement of the database ends in time.
            Err(_) => answered.await,
        };
        told.unwrap_or_else(|_| Err(failed(sqlx::Error::WorkerCrashed)))
    }
}

/// Writes until no purge waits. A separate task, so that a caller who goes away does not cancel others.
async fn write_all(store: Store, mut writer: Writer) {
    loop {
        // A caller that waits for it may still give up.
        let _turn = store.turns.small().await;
        let Some(entries) = writer.next() else { return };
        write(&store, entries).await;
    }
}

async fn write(store: &Store, entries: Vec<Entry>) {
    let drafts: Vec<&Draft> = entries.iter().map(|entry| &entry.draft).collect();
    match store.retried(|| insert(store, &drafts)).await {
        Ok(mut accepted) => {
            for Entry { draft, answer, .. } in entries {
                // Who has gone can ask for what there is.
                drop(answer.send(Ok(accepted.remove(&draft.id))));
            }
        }
        // It was rolled back, perhaps because of a single purge, so each is retried alone.
        Err(error) if entries.len() > 1 && (!error.is_outage() || error.is_rolled_back()) => {
            for Entry { draft, answer, .. } in entries {
                let alone = [&draft];
                let alone = store.retried(|| insert(store, &alone)).await;
                drop(answer.send(alone.map(|mut accepted| accepted.remove(&draft.id))));
            }
        }
        Err(error) => {
            let (said, mut first) = (error.to_string(), Some(error));
            for entry in entries {
                let alike = || failed(sqlx::Error::Io(IoError::other(said.clone())));
                drop(entry.answer.send(Err(first.take().unwrap_or_else(alike))));
            }
        }
    }
}

async fn insert(store: &Store, drafts: &[&Draft]) -> Result<HashMap<Uuid, Timestamp>, StoreError> {
    let mut tx = store.single_request("accept_purge", Urgency::Ordinary).await?;
    let accepted = first::insert(&mut tx, drafts).await?;
    let orgs: BTreeSet<&str> = drafts.iter().map(|draft| draft.new.org.as_str()).collect();
    for org in orgs {
        tx.will_wake(org);
    }
    tx.commit().await?;
    Ok(accepted)
}

fn failed(source: sqlx::Error) -> StoreError {
    StoreError::Database { transaction: "accept_purge", source }
}

impl Gathering {
    /// Queues a purge; returns the writer to start, if none runs yet.
    fn push(&self, entry: Entry) -> Option<Writer> {
        let mut waiting = self.waiting();
        waiting.line.push_back(entry);
        let may_write = waiting.writers < WRITERS;
        waiting.writers += usize::from(may_write);
        may_write.then(|| Writer { gathering: self.clone(), is_over: false })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of those who write.
struct Writer {
    gathering: Gathering,
    is_over: bool,
}

impl Writer {
    /// The next purges to write; none if none waits, and then this writer ends: later ones start another.
    fn next(&mut self) -> Option<Vec<Entry>> {
        let mut waiting = self.gathering.waiting();
        let (mut taken, mut conversations) = (Vec::new(), 0);
        while taken.len() < AT_ONCE
            && let Some(entry) = waiting.line.pop_front_if(|next| {
                taken.is_empty() || conversations + next.draft.conversations() <= CONVERSATIONS_AT_ONCE
            })
        {
            if !entry.is_taken.swap(true, Ordering::AcqRel) {
                conversations += entry.draft.conversations();
                taken.push(entry);
            }
        }
        if taken.is_empty() {
            waiting.writers -= 1;
            self.is_over = true;
            return None;
        }
        Some(taken)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It was cut off in the middle.
        if !self.is_over {
            self.gathering.waiting().writers -= 1;
        }
    }
}
