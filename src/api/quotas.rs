//! Quotas of one key: purges per minute, and open purges. A caller that sends purges in a loop uses up only its own
//! share. Refused requests do not count.
//!
//! Each process counts by itself, and recounts open purges only every few seconds: in between, a key may get a few
//! more than its share, but never waits for a lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use uuid::Uuid;

use super::key_id::KeyId;
use super::problem::Problem;
use super::terms::QuotaTerms;
use crate::store::{Store, StoreError};

/// Open purges are counted so often.
const RECOUNT: Duration = Duration::from_secs(10);
/// And this often if a key has used up its quota, so that it soon sees that a purge has ended.
const RECOUNT_WHEN_FULL: Duration = Duration::from_secs(1);
/// `Retry-After` for a key with too many open purges, in seconds.
const LATER: u16 = 30;
const MINUTE: Duration = Duration::from_mins(1);

/// The quotas of all keys; all clones are one.
#[derive(Debug, Clone)]
pub struct Quotas {
    terms: QuotaTerms,
    keys: Arc<Mutex<HashMap<Uuid, Used>>>,
}

/// The usage of a key.
#[derive(Debug, Clone, Copy)]
struct Used {
    /// How much of a minute's worth is used up, as the time after which none of it is.
    until: Instant,
    /// Open purges at the last count, and those admitted since.
    open: u64,
    counted: Option<Instant>,
}

/// That one more purge of a key was admitted.
#[derive(Debug)]
pub(super) struct Admitted {
    key: KeyId,
    /// The count of open purges that it was added to.
    counted: Option<Instant>,
}

impl Quotas {
    /// Unused quotas.
    pub fn new(terms: QuotaTerms) -> Self {
        Self { terms, keys: Arc::default() }
    }

    /// Admits one more purge of a key, or returns when to retry.
    pub(super) async fn admit(&self, store: &Store, key: KeyId) -> Result<Admitted, Problem> {
        if let Some(most) = self.terms.open {
            self.count(store, key, u64::from(most.get())).await?;
        }
        self.take(key, Instant::now())
    }

    /// Counts the open purges of this key, if the last count is too old.
    async fn count(&self, store: &Store, key: KeyId, most: u64) -> Result<(), StoreError> {
        let used = self.keys().get(&key.0).copied();
        let is_known = used.is_some_and(|used| {
            let good_for = if used.open < most { RECOUNT } else { RECOUNT_WHEN_FULL };
            used.counted.is_some_and(|counted| counted.elapsed() < good_for)
        });
        if !is_known {
            let counted = Instant::now();
            let open = store.open_purges_of(key.0, most).await?;
            let mut keys = self.keys();
            let used = keys.entry(key.0).or_insert(Used::nothing(counted));
            (used.open, used.counted) = (open, Some(counted));
        }
        Ok(())
    }

    /// Returns the quota of a purge that was definitely refused. If the caller went away, or the result is unknown, it
    /// may have been accepted.
    pub(super) fn give_back(&self, Admitted { key: KeyId(key), counted }: Admitted) {
        let mut keys = self.keys();
        let Some(used) = keys.get_mut(&key) else { return };
        if let Some(most) = self.terms.a_minute {
            used.until = used.until.checked_sub(MINUTE / most.get()).unwrap_or(used.until);
        }
        // A count that came after it was admitted knows nothing of it.
        if used.counted == counted {
            used.open = used.open.saturating_sub(1);
        }
    }

    fn take(&self, KeyId(key): KeyId, now: Instant) -> Result<Admitted, Problem> {
        let mut keys = self.keys();
        // A key that was idle for a while has used nothing.
        keys.retain(|id, used| {
            *id == key || used.until > now || used.counted.is_some_and(|at| now - at < RECOUNT)
        });
        let used = keys.entry(key).or_insert(Used::nothing(now));
        if let Some(most) = self.terms.open
            && used.open >= u64::from(most.get())
        {
            let detail = format!(
                "this key has {most} open purges (intake.open_purges_per_key); nothing was accepted; send it again when some have ended"
            );
            return Err(too_many(detail, LATER));
        }
        if let Some(most) = self.terms.a_minute {
            let until = used.until.max(now) + MINUTE / most.get();
            let in_a_minute = now + MINUTE;
            if until > in_a_minute {
                let detail = format!(
                    "this key sent {most} purges within a minute (intake.purges_per_minute); nothing was accepted; send it again later, or combine several purges"
                );
                let seconds = until.saturating_duration_since(in_a_minute).as_secs() + 1;
                return Err(too_many(detail, u16::try_from(seconds).unwrap_or(u16::MAX)));
            }
            used.until = until;
        }
        used.open += 1;
        Ok(Admitted { key: KeyId(key), counted: used.counted })
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Uuid, Used>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn nothing(now: Instant) -> Self {
        Self { until: now, open: 0, counted: None }
    }
}

fn too_many(detail: String, seconds: u16) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_purges", detail).after(seconds)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn quotas(a_minute: u32, open: u32) -> Quotas {
        Quotas::new(QuotaTerms { a_minute: NonZeroU32::new(a_minute), open: NonZeroU32::new(open) })
    }

    const ONE: KeyId = KeyId(Uuid::from_u128(1));
    const OTHER: KeyId = KeyId(Uuid::from_u128(2));

    #[test]
    fn a_key_has_a_minutes_worth_at_once_and_then_as_much_as_time_gives() {
        let quotas = quotas(60, 0);
        let begun = Instant::now();
        let taken = (0..100).filter(|_| quotas.take(ONE, begun).is_ok()).count();
        assert_eq!(taken, 60);
        let refused = quotas.take(ONE, begun).unwrap_err();
        assert_eq!((refused.status, refused.code, refused.retry_after), (429, "too_many_purges", Some(2)));
        assert!(quotas.take(OTHER, begun).is_ok(), "another key pays for it");
        let later = begun + Duration::from_secs(5);
        assert_eq!((0..100).filter(|_| quotas.take(ONE, later).is_ok()).count(), 5);
        let much_later = begun + Duration::from_hours(1);
        assert_eq!((0..100).filter(|_| quotas.take(ONE, much_later).is_ok()).count(), 60);
        assert!(!quotas.keys().contains_key(&OTHER.0), "kept for ever");
    }

    #[test]
    fn without_limits_nothing_is_refused_and_a_refusal_uses_nothing_up() {
        let free = quotas(0, 0);
        assert!((0..10_000).all(|_| free.take(ONE, Instant::now()).is_ok()));
        let quotas = quotas(60, 1);
        let begun = Instant::now();
        assert!(quotas.take(ONE, begun).is_ok());
        for _ in 0..100 {
            assert_eq!(quotas.take(ONE, begun).unwrap_err().retry_after, Some(LATER));
        }
        quotas.keys().get_mut(&ONE.0).unwrap().open = 0;
        assert!(quotas.take(ONE, begun).is_ok());
    }

    #[test]
    fn what_is_given_back_can_be_used_again_and_a_later_count_stays() {
        let quotas = quotas(60, 100);
        let begun = Instant::now();
        let admitted: Vec<_> = (0..60).map(|_| quotas.take(ONE, begun).unwrap()).collect();
        assert!(quotas.take(ONE, begun).is_err());
        let open = || quotas.keys()[&ONE.0].open;
        let mut admitted = admitted.into_iter();
        admitted.by_ref().take(5).for_each(|admitted| quotas.give_back(admitted));
        assert_eq!(open(), 55);
        assert_eq!((0..100).filter(|_| quotas.take(ONE, begun).is_ok()).count(), 5);
        let counted = Instant::now();
        (quotas.keys().get_mut(&ONE.0).unwrap()).counted = Some(counted);
        admitted.for_each(|admitted| quotas.give_back(admitted));
        assert_eq!(open(), 60, "they are not among those that were counted");
    }
}
