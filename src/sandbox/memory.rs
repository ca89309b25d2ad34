//! What a sandbox leaves to one that is started after it: which conversations are gone, or were changed, and since when it counts.
//!
//! Invariant: jobs are not remembered. One that runs at the end is unknown from then on, and has deleted nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rand::{SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Sandbox;
use super::clock::Clock;
use super::kinds::Kind;
use super::settings::{Settings, SettingsError};
use super::world::World;

/// What is remembered. It belongs to the settings that make the population.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    born: Timestamp,
    /// Conversations that are not what the population made them.
    kinds: BTreeMap<Kind, Vec<Uuid>>,
}

impl Sandbox {
    /// What one that is started after this one must know.
    pub fn memory(&self) -> Memory {
        let now = self.now();
        Memory { born: self.born, kinds: self.world().other_kinds(now) }
    }

    /// An organization that goes on. Its jobs have ids of their own, by this chance: callers may remember those of before.
    pub fn recalling(
        settings: Settings,
        clock: Clock,
        memory: &Memory,
        chance: u64,
    ) -> Result<Self, SettingsError> {
        let sandbox = Self { born: memory.born, ..Self::new(settings, clock)? };
        {
            let now = sandbox.now();
            let mut world = sandbox.world();
            world.chance = StdRng::seed_from_u64(chance);
            for (kind, ids) in &memory.kinds {
                for id in ids {
                    // One that is not of this population is nobody's.
                    let _ = world.set_kind(*id, *kind, now);
                }
            }
        }
        Ok(sandbox)
    }
}

impl World {
    /// Conversations that were changed or deleted, by what they are now.
    fn other_kinds(&self, now: Timestamp) -> BTreeMap<Kind, Vec<Uuid>> {
        let mut kinds = BTreeMap::<Kind, Vec<Uuid>>::new();
        for index in 0..self.population.size() {
            let is_gone = self.jobs.deleter(index, now).is_some();
            let kind = if is_gone { Kind::Deleted } else { self.kind(index) };
            if kind != self.population.kind(index) {
                kinds.entry(kind).or_default().push(self.population.id(index));
            }
        }
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{JobDuration, Shares};

    #[test]
    fn what_was_deleted_stays_deleted_and_what_was_changed_stays_changed() {
        let settings = Settings {
            conversations: 10,
            shares: Shares { eligible: 1.0, ..Shares::none() },
            job_duration: JobDuration { base_ms: 0, jitter_ms: 0 },
            failed_share: 0.0,
            partial_share: 0.0,
            ..Settings::default()
        };
        let before = Sandbox::new(settings.clone(), Clock::machine()).unwrap();
        let ids: Vec<Uuid> = before.ids().collect();
        before.run_job(&ids[..3]);
        before.end_jobs();
        before.set_kind(ids[5], Kind::Held).unwrap();
        let told = serde_json::to_string(&before.memory()).unwrap();
        let memory: Memory = serde_json::from_str(&told).unwrap();

        let after = Sandbox::recalling(settings, Clock::machine(), &memory, 7).unwrap();
        assert_eq!(after.ids_of(Kind::Deleted), ids[..3]);
        assert_eq!(after.ids_of(Kind::Held), ids[5..6]);
        let ended = |sandbox: &Sandbox| sandbox.conversation(ids[4]).unwrap().ended_at;
        assert_eq!(ended(&after), ended(&before), "it has not become younger");
        assert_eq!(after.memory(), memory, "and so on");
        before.run_job(&ids[6..7]);
        after.run_job(&ids[6..7]);
        let job = |sandbox: &Sandbox| sandbox.conversation(ids[6]).unwrap().jobs[0].job_id;
        assert_ne!(job(&after), job(&before));
    }
}
