//! What many wait for is looked at once for all of them: an end of a purge, or that of a key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// The first look comes so soon, and each later one after twice as long.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// But no longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Things that somebody waits for, each with its last look.
#[derive(Debug)]
pub struct Followed<K, V>(Arc<Mutex<HashMap<K, watch::Sender<Option<V>>>>>);

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
    /// What is seen of it from now on, as long as this is kept; nothing is seen where a look fails.
    pub(super) fn follow<F, L>(&self, key: K, look: F) -> watch::Receiver<Option<V>>
    where
        F: Fn() -> L + Send + 'static,
        L: Future<Output = Option<V>> + Send + 'static,
    {
        let mut followed = self.followed();
        if let Some(seen) = followed.get(&key) {
            return seen.subscribe();
        }
        let (seen, receiver) = watch::channel(None);
        followed.insert(key, seen);
        tokio::spawn(self.clone().look_on(key, look));
        receiver
    }

    async fn look_on<F, L>(self, key: K, look: F)
    where
        F: Fn() -> L,
        L: Future<Output = Option<V>>,
    {
        let mut pause = SHORTEST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            let seen = look().await;
            let mut followed = self.followed();
            let Some(sender) = followed.get(&key) else { return };
            // Nobody can begin to follow it meanwhile.
            if sender.receiver_count() == 0 {
                followed.remove(&key);
                return;
            }
            if seen.is_some() {
                sender.send_replace(seen);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<K, watch::Sender<Option<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_thousand_who_wait_cost_one_look_and_nobody_none() {
        let (followed, looks) = (Followed::<u8, u32>::default(), Arc::new(AtomicU32::new(0)));
        let look = |looks: &Arc<AtomicU32>| {
            let looks = Arc::clone(looks);
            move || {
                let seen = looks.fetch_add(1, Ordering::Relaxed);
                async move { (seen > 2).then_some(seen) }
            }
        };
        let mut waiting: Vec<_> = (0..1000).map(|_| followed.follow(1, look(&looks))).collect();
        for seen in &mut waiting {
            assert_eq!(*seen.wait_for(Option::is_some).await.unwrap(), Some(3));
        }
        assert_eq!(looks.load(Ordering::Relaxed), 4, "the first that sees something is the fourth");
        drop(waiting);
        while !followed.followed().is_empty() {
            tokio::time::sleep(SHORTEST_PAUSE).await;
        }
        assert_eq!(looks.load(Ordering::Relaxed), 5, "it is looked at though nobody waits");
    }
}
