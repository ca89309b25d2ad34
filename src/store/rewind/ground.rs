//! Which server the database is on and how far its log has come, and what this process remembers of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::rewind::Ground;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// The furthest ground that this process knows to be committed; all clones are one.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Grounds(Arc<Mutex<Option<Ground>>>);

impl Grounds {
    /// Later checks find at least this position.
    pub(in crate::store) fn known(&self) -> Option<Ground> {
        *self.lock()
    }

    /// This was read in a transaction that is committed by now.
    pub(in crate::store) fn remember(&self, committed: Ground) {
        let mut known = self.lock();
        // A different server or timeline is left to the next check.
        if let Some(known) = known.as_mut()
            && (known.system, known.timeline) == (committed.system, committed.timeline)
        {
            known.position = known.position.max(committed.position);
        }
    }

    /// This was judged, and counts from now on.
    pub(super) fn stand_on(&self, judged: Ground) {
        *self.lock() = Some(judged);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Ground>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The current position of the database.
pub(super) async fn here(tx: &mut Tx) -> Result<Ground, StoreError> {
    sqlx::query_as!(
        Ground,
        r#"-- ground
        select system as "system!", timeline as "timeline!", position as "position!" from ground"#
    )
    .one(tx)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_judged_goes_forward_and_nothing_else_is_remembered() {
        let ground = |system, timeline, position| Ground { system, timeline, position };
        let grounds = Grounds::default();
        grounds.remember(ground(1, 1, 1));
        assert_eq!(grounds.known(), None);
        grounds.stand_on(ground(1, 1, 10));
        grounds.remember(ground(1, 1, 20));
        grounds.remember(ground(1, 1, 15));
        grounds.remember(ground(2, 1, 99));
        grounds.remember(ground(1, 2, 99));
        assert_eq!(grounds.known(), Some(ground(1, 1, 20)));
    }
}
