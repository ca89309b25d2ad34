//! The state of a purge that somebody listens to: its last events, its counts and its jobs.
//!
//! Every event is sent. Of counts and jobs, slow listeners get only the latest state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::state::JobState;
use crate::store::views::events::EventRow;
use crate::store::views::jobs::JobRow;
use crate::store::views::live::PurgeLook;

/// How many events are buffered.
const REMEMBERED: usize = 32;
/// How many jobs that are done are buffered.
const DONE_REMEMBERED: usize = 32;

/// A state with its version.
#[derive(Debug, Clone)]
pub(in crate::api) enum Latest {
    Counts(Arc<PurgeLook>),
    Job(Arc<JobRow>),
}

/// The next news for a listener.
#[derive(Debug)]
pub(in crate::api) struct HeardOfPurge {
    /// The events after its number; none is left out. `None`: the listener has to read them itself.
    pub(in crate::api) events: Option<Vec<Arc<EventRow>>>,
    /// What changed, in the order in which it was seen.
    pub(in crate::api) latest: Vec<Latest>,
    /// The version of the last of these.
    pub(in crate::api) version: u64,
    /// It is final, and this is the number of its last event.
    pub(in crate::api) last: Option<i32>,
}

#[derive(Debug)]
pub(super) struct OfPurge {
    /// The buffer has the events after this number.
    base: i32,
    recent: VecDeque<Arc<EventRow>>,
    look: (u64, Arc<PurgeLook>),
    jobs: BTreeMap<Uuid, (u64, Arc<JobRow>)>,
    listeners: usize,
    version: watch::Sender<u64>,
}

impl OfPurge {
    /// A purge with this state.
    pub(super) fn new(look: PurgeLook) -> Self {
        Self {
            base: look.event_no,
            recent: VecDeque::new(),
            look: (1, Arc::new(look)),
            jobs: BTreeMap::new(),
            listeners: 0,
            version: watch::Sender::new(1),
        }
    }

    pub(super) fn join(&mut self) -> watch::Receiver<u64> {
        self.listeners += 1;
        self.version.subscribe()
    }

    pub(super) const fn listeners(&self) -> usize {
        self.listeners
    }

    /// Returns whether nobody listens any more.
    pub(super) fn leave(&mut self) -> bool {
        self.listeners -= 1;
        self.listeners == 0
    }

    /// The number of the last event that is known.
    pub(super) fn known(&self) -> i32 {
        self.recent.back().map_or(self.base, |event| event.event_no)
    }

    pub(super) fn is_final(&self) -> bool {
        self.look.1.state.is_final()
    }

    /// The jobs that were not done at the last look.
    pub(super) fn underway(&self) -> impl Iterator<Item = Uuid> {
        self.jobs.iter().filter(|(_, (_, job))| job.state != JobState::Done).map(|(id, _)| *id)
    }

    /// Remembers an event; one that is known already, or that does not follow the last, is passed over.
    pub(super) fn note_event(&mut self, event: Arc<EventRow>) {
        if event.event_no != self.known() + 1 {
            return;
        }
        self.recent.push_back(event);
        if self.recent.len() > REMEMBERED
            && let Some(forgotten) = self.recent.pop_front()
        {
            self.base = forgotten.event_no;
        }
        self.turn();
    }

    /// Stores the state of the purge.
    pub(super) fn note_look(&mut self, look: PurgeLook) {
        let standing = |look: &PurgeLook| (look.state, look.run, look.counts);
        let version = if standing(&self.look.1) == standing(&look) { self.look.0 } else { self.turn() };
        self.look = (version, Arc::new(look));
    }

    /// Stores the state of a job.
    pub(super) fn note_job(&mut self, job: JobRow) {
        let is_known = self.jobs.get(&job.id).is_some_and(|(_, known)| stands_alike(known, &job));
        if is_known {
            return;
        }
        let version = self.turn();
        self.jobs.insert(job.id, (version, Arc::new(job)));
        let done = self.jobs.iter().filter(|(_, (_, job))| job.state == JobState::Done);
        let mut done: Vec<_> = done.map(|(id, (version, _))| (*version, *id)).collect();
        if done.len() > DONE_REMEMBERED {
            done.sort_unstable();
            self.jobs.remove(&done[0].1);
        }
    }

    pub(super) fn after(&self, event_no: i32, version: u64) -> HeardOfPurge {
        let new = || {
            let new = self.recent.partition_point(|event| event.event_no <= event_no);
            self.recent.range(new..).cloned().collect()
        };
        let (looked, look) = &self.look;
        let counts = (*looked, Latest::Counts(Arc::clone(look)));
        let jobs = self.jobs.values().map(|(seen, job)| (*seen, Latest::Job(Arc::clone(job))));
        let mut latest: Vec<_> = jobs.chain([counts]).filter(|(seen, _)| *seen > version).collect();
        latest.sort_by_key(|(seen, _)| *seen);
        HeardOfPurge {
            events: (event_no >= self.base).then(new),
            version: latest.last().map_or(version, |(seen, _)| *seen),
            latest: latest.into_iter().map(|(_, latest)| latest).collect(),
            last: self.is_final().then_some(look.event_no),
        }
    }

    /// The next version.
    fn turn(&self) -> u64 {
        self.version.send_modify(|version| *version += 1);
        *self.version.borrow()
    }
}

/// Nothing that listeners get has changed in the job.
fn stands_alike(known: &JobRow, job: &JobRow) -> bool {
    let standing = |job: &JobRow| (job.state, job.result, job.upstream_job_id.clone(), job.conversations);
    standing(known) == standing(job)
}
