//! Polls once for all waiters of the same thing: the end of a purge, or of a key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// The first look comes so soon, and each later one after twice as long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// But no longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The things that requests wait for.
#[derive(Debug)]
pub struct Followed<K, V>(Arc<Mutex<HashMap<K, Looks<V>>>>);

/// The looks at one of them.
#[derive(Debug)]
struct Looks<V> {
    /// How many polls have started.
    begun: u64,
    /// The result of the last poll that saw something, and its number.
    seen: watch::Sender<Option<(u64, V)>>,
}

/// The requests that wait for one of them.
pub(super) struct Following<V> {
    seen: watch::Receiver<Option<(u64, V)>>,
    /// Polls that had started when the wait did may have seen an older state.
    after: u64,
}

impl<V: Clone> Following<V> {
    /// Waits until a poll sees it; for ever, if no poll sees anything.
    pub(super) async fn until(&mut self, is_so: impl Fn(&V) -> bool) -> Option<V> {
        let after = self.after;
        let is_new =
            |seen: &Option<(u64, V)>| seen.as_ref().is_some_and(|(look, seen)| *look > after && is_so(seen));
        let seen = self.seen.wait_for(is_new).await.ok()?;
        seen.as_ref().map(|(_, seen)| seen.clone())
    }
}

impl<K, V> Clone for Followed<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Followed<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Followed<K, V>
where
    K: Copy + Eq + Hash + Send + 'static,
    V: Send + Sync + 'static,
{
    /// The results of polls from now on, as long as this is kept; a failed poll has no result.
    pub(super) fn follow<F, L>(&self, key: K, look: F) -> Following<V>
    where
        F: Fn() -> L + Send + 'static,
        L: Future<Output = Option<V>> + Send + 'static,
    {
        let mut followed = self.followed();
        if let Some(looks) = followed.get(&key) {
            return Following { seen: looks.seen.subscribe(), after: looks.begun };
        }
        let (sender, seen) = watch::channel(None);
        followed.insert(key, Looks { begun: 0, seen: sender });
        tokio::spawn(self.clone().look_on(key, look));
        Following { seen, after: 0 }
    }

    async fn look_on<F, L>(self, key: K, look: F)
    where
        F: Fn() -> L,
        L: Future<Output = Option<V>>,
    {
        let mut pause = SHORTEST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            let Some(number) = self.begin(key) else { return };
            if let Some(seen) = look().await
                && let Some(looks) = self.followed().get(&key)
            {
                looks.seen.send_replace(Some((number, seen)));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The number of the next poll; none if nothing waits any more, and then it is forgotten.
    fn begin(&self, key: K) -> Option<u64> {
        let mut followed = self.followed();
        let looks = followed.get_mut(&key)?;
        if looks.seen.receiver_count() == 0 {
            followed.remove(&key);
            return None;
        }
        looks.begun += 1;
        Some(looks.begun)
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<K, Looks<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// The first two looks see nothing; the others how many there were before.
    fn look(looks: &Arc<AtomicU32>) -> impl Fn() -> std::future::Ready<Option<u32>> + use<> {
        let looks = Arc::clone(looks);
        move || {
            let before = looks.fetch_add(1, Ordering::Relaxed);
            std::future::ready((before > 1).then_some(before))
        }
    }

    #[tokio::test]
    async fn a_thousand_who_wait_cost_one_look_and_nobody_none() {
        let (followed, looks) = (Followed::<u8, u32>::default(), Arc::new(AtomicU32::new(0)));
        let mut waiting: Vec<_> = (0..1000).map(|_| followed.follow(1, look(&looks))).collect();
        for following in &mut waiting {
            assert_eq!(following.until(|_| true).await, Some(2));
        }
        assert_eq!(looks.load(Ordering::Relaxed), 3, "the first that sees something is the third");
        drop(waiting);
        while !followed.followed().is_empty() {
            tokio::time::sleep(SHORTEST_PAUSE).await;
        }
        assert_eq!(looks.load(Ordering::Relaxed), 3, "it is looked at though nobody waits");
    }

    #[tokio::test]
    async fn who_comes_later_is_not_told_what_was_seen_before() {
        let (followed, looks) = (Followed::<u8, u32>::default(), Arc::new(AtomicU32::new(0)));
        let first = followed.follow(1, look(&looks)).until(|_| true).await.unwrap();
        // The poll that started last is still known, with its result.
        assert!(!followed.followed().is_empty());
        let second = followed.follow(1, look(&looks)).until(|_| true).await.unwrap();
        assert!(second > first, "{second} was seen before anybody asked");
    }
}
