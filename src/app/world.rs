//! Clock and randomness: the one place that asks the machine for them.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::admin::Random;
use crate::engine::Clock;
use crate::store::NewId;

/// The source of time and randomness.
#[derive(Clone)]
pub struct World {
    clock: Clock,
    new_id: NewId,
    random: Random,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "the one home of the machine's clock and randomness")]
    pub fn machine() -> Self {
        Self {
            clock: Arc::new(Timestamp::now),
            new_id: Arc::new(Uuid::now_v7),
            random: Arc::new(rand::random),
        }
    }

    /// The same by another clock.
    #[must_use]
    pub fn by_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    pub fn clock(&self) -> Clock {
        Arc::clone(&self.clock)
    }

    pub fn new_id(&self) -> NewId {
        Arc::clone(&self.new_id)
    }

    /// Unpredictable bytes.
    pub fn random_bytes(&self) -> [u8; 32] {
        (self.random)()
    }

    /// The source of such bytes.
    pub fn random(&self) -> Random {
        Arc::clone(&self.random)
    }

    /// The seed of jitter.
    pub fn seed(&self) -> u64 {
        let mut seed = [0; 8];
        seed.copy_from_slice(&self.random_bytes()[..8]);
        u64::from_le_bytes(seed)
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}
