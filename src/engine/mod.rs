//! The engine: carries accepted purges through their steps, one file per step, named as in docs/architecture.md.
//!
//! One dispatcher per org surveys the due work, claims it and hands it to a worker. A step is claim, observe, decide,
//! record; all its state is in the database before and after.
//!
//! Invariant: the engine never knows a status code, a wire format or a route; it never holds a lock during a call.

mod ask;
mod caught;
mod chance;
mod dispatch;
mod give_back;
mod kind;
mod look;
mod org;
mod poll;
mod sight;
mod submit;
mod sweep;
mod traced;
mod trouble;
mod validate;
mod wait;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use chance::Chance;
pub use org::{Clock, OrgEngine};
use wait::Ears;

/// Wakes dispatchers when there is work.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    dispatchers: Arc<HashMap<String, Arc<Notify>>>,
    ears: Ears,
}

impl Wakes {
    /// Wakes the dispatcher of one org.
    pub fn wake(&self, org: &str) {
        if let Some(wake) = self.dispatchers.get(org) {
            wake.notify_one();
        }
    }

    /// Wakes all: notifications may have been missed.
    pub fn wake_all(&self) {
        for wake in self.dispatchers.values() {
            wake.notify_one();
        }
    }

    /// Whether notifications of other processes arrive; if not, dispatchers poll more often.
    pub fn are_heard(&self, is_heard: bool) {
        self.ears.set(is_heard);
    }
}

/// How long releasing work may take: enough for a database that answers.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// The running engine of this process.
#[derive(Debug)]
pub struct Engine {
    stop: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
    wakes: Wakes,
    grace: Duration,
}

impl Engine {
    /// Starts a dispatcher for each org, each with its share of `workers`: an org whose calls hang takes no other's.
    pub fn start(orgs: Vec<OrgEngine>, workers: usize, grace: Duration) -> Self {
        let (stop, abort, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let share = (workers / orgs.len().max(1)).max(1);
        let (mut wakes, ears) = (HashMap::new(), Ears::default());
        for org in orgs {
            let wake = Arc::new(Notify::new());
            wakes.insert(org.terms.name.clone(), Arc::clone(&wake));
            let dispatcher = dispatch::Dispatcher::new(
                Arc::new(org),
                dispatch::Crew {
                    workers: Arc::new(Semaphore::new(share)),
                    reserved: share / 4,
                    tasks: tasks.clone(),
                    stop: stop.clone(),
                    abort: abort.clone(),
                    ears: ears.clone(),
                },
                wake,
            );
            tasks.spawn(dispatcher.run());
        }
        tasks.close();
        Self { stop, abort, tasks, wakes: Wakes { dispatchers: Arc::new(wakes), ears }, grace }
    }

    /// Wakes its dispatchers.
    pub fn wakes(&self) -> Wakes {
        self.wakes.clone()
    }

    /// Drains: nothing new is claimed, running steps may finish within the grace; the others are cut, and their work
    /// is released.
    pub async fn stop(self) {
        self.stop.cancel();
        if tokio::time::timeout(self.grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                steps = self.tasks.len(),
                "steps did not finish in time and are cut off; other processes continue them"
            );
            self.abort.cancel();
            if tokio::time::timeout(GIVING_BACK, self.tasks.wait()).await.is_err() {
                tracing::warn!("not all leases could be released; the rest will run out");
            }
        }
    }
}
