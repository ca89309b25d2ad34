//! The simulated Genesys: a whole upstream of the driver `analytics_purge`, over a real socket, that keeps the truth.
//!
//! It answers the four calls (token, details, submit, poll) as Genesys does, goes wrong on order, and tells under
//! `/sandbox` what is really so, what was called, and which rules callers broke. Teams develop against it, and
//! `demo`, tests and benches run it in their own process.
//!
//! - `settings`: what can be set. `population`, `kinds`, `portrait`: which conversations there are.
//! - `memory`: what one that is started again knows of the one before.
//! - `world`: what changes while it runs; `jobs`, `tokens`, `limits`, `faults`, `calls`, `breaches`.
//! - `batch`: what is wrong with a submit. `truth`: what is really so.
//! - `http`: the calls. `server`, `line`: the socket, and connections that can be cut.
//!
//! Invariant: the sandbox never names genesys, store, domain or engine: it would share their misreadings. Its wire
//! types, its clock and its chance are its own.

mod batch;
mod breaches;
mod calls;
mod clock;
mod faults;
mod http;
mod jobs;
mod kinds;
mod limits;
mod line;
mod memory;
mod permutation;
mod population;
mod portrait;
mod server;
mod settings;
mod tokens;
mod truth;
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

pub use breaches::{Breach, Rule};
pub use calls::{Call, CallEntry, Ending};
pub use clock::Clock;
pub use faults::{Fault, FaultError, FaultRule, Garbage, OneOrMore, Standing, When};
pub use kinds::{Expected, Kind};
pub use memory::Memory;
pub use server::{Running, SandboxError};
pub use settings::{DeletedLooks, JobDuration, Settings, SettingsError, Shares};
pub use truth::{CallReport, CarryingJob, ConversationTruth, ExpectedOutcome, JobFigures, Truth};
pub use world::KindError;

use population::Population;
use world::World;

/// One simulated organization. What the control calls under `/sandbox` do, its methods do without a socket.
#[derive(Debug)]
pub struct Sandbox {
    clock: Clock,
    born: Timestamp,
    world: Mutex<World>,
}

impl Sandbox {
    /// An organization as the settings describe it, not yet reachable; [`Running::serve`] opens it.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self { born: clock.now(), clock, world: Mutex::new(World::new(settings)) })
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.world().settings.clone()
    }

    /// Puts other settings in force. Another seed, number of conversations or shares make another organization:
    /// jobs, deletions and changed kinds are forgotten.
    pub fn set_settings(&self, settings: Settings) -> Result<(), SettingsError> {
        settings.check()?;
        let now = self.now();
        self.world().take_settings(settings, now);
        Ok(())
    }

    /// Changes some settings by a JSON merge patch (RFC 7396), and returns all.
    pub fn patch_settings(&self, patch: Value) -> Result<Settings, SettingsError> {
        let now = self.now();
        let mut world = self.world();
        let settings = world.settings.patched(patch)?;
        world.take_settings(settings.clone(), now);
        Ok(settings)
    }

    /// Every id of the population, in its order; those that upstream does not know are among them.
    pub fn ids(&self) -> impl Iterator<Item = Uuid> + Send + use<> {
        let population = self.population();
        (0..population.size()).map(move |index| population.id(index))
    }

    /// Every id of one kind, by now.
    pub fn ids_of(&self, kind: Kind) -> Vec<Uuid> {
        let world = self.world();
        let indexes = (0..world.population.size()).filter(|index| world.kind(*index) == kind);
        indexes.map(|index| world.population.id(index)).collect()
    }

    /// What a purge must report of a conversation; `None` for an id that is not of this population.
    pub fn expected_outcome(&self, id: Uuid) -> Option<Expected> {
        let world = self.world();
        world.population.index(id).map(|index| world.kind(index).expected())
    }

    /// The conversations in figures.
    pub fn truth(&self) -> Truth {
        let now = self.now();
        self.world().truth(now)
    }

    /// One conversation as it really is.
    pub fn conversation(&self, id: Uuid) -> Option<ConversationTruth> {
        let now = self.now();
        self.world().conversation(id, now, self.born)
    }

    /// Gives a conversation another kind (puts a hold on it, say). Refused once a job deletes it.
    pub fn set_kind(&self, id: Uuid, kind: Kind) -> Result<(), KindError> {
        let now = self.now();
        self.world().set_kind(id, kind, now)
    }

    /// Orders a fault; returns the rule's number.
    pub fn add_fault(&self, rule: FaultRule) -> Result<u64, FaultError> {
        self.world().faults.add(rule)
    }

    /// The fault rules in force, and how often each struck.
    pub fn faults(&self) -> Vec<Standing> {
        self.world().faults.list().to_vec()
    }

    /// Takes all fault rules away.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// Ends every job that runs, as it would have ended by itself: who tests long jobs need not wait for them.
    pub fn end_jobs(&self) {
        let now = self.now();
        self.world().jobs.end_all(now);
    }

    /// Runs a job over conversations of which no caller knows, as after a submit whose answer was lost.
    pub fn run_job(&self, ids: &[Uuid]) {
        let now = self.now();
        let world = &mut *self.world();
        let indexes: Vec<u32> = ids.iter().filter_map(|id| world.population.index(*id)).collect();
        world.jobs.submit(&indexes, now, &world.settings, &mut world.chance);
    }

    /// Revokes every token: the next calls are answered 401. Returns how many there were.
    pub fn revoke_tokens(&self) -> usize {
        self.world().tokens.revoke_all()
    }

    /// What was called (the last `last` calls one by one) and how well jobs were used, `full_size` ids being full.
    pub fn report(&self, last: usize, full_size: u32) -> CallReport {
        self.world().report(last, full_size)
    }

    /// The breaches so far; empty is good.
    pub fn breaches(&self) -> Vec<Breach> {
        self.world().breaches.first().to_vec()
    }

    /// Forgets calls and breaches, but no job and no deletion.
    pub fn forget_calls(&self) {
        let mut world = self.world();
        world.log = calls::CallLog::default();
        world.breaches = breaches::Breaches::default();
    }

    fn population(&self) -> std::sync::Arc<Population> {
        self.world().population.clone()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A panic under the lock leaves nothing half done that a later call could trip over.
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
