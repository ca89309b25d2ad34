//! Deliveries that were claimed and not recorded yet.
//!
//! Deliveries to one endpoint about one purge are queued and sent one after the other, so that a receiver that accepts
//! them gets them in order. All others are sent at once.

use std::collections::{BTreeMap, HashMap, VecDeque};

use uuid::Uuid;

use crate::store::deliveries::claim::Delivery;

/// An endpoint and a purge; or a single delivery.
type Line = (String, Uuid);

/// A delivery with whatever belongs to it.
#[derive(Debug)]
pub(super) struct Item<T> {
    pub(super) delivery: Delivery,
    pub(super) with: T,
}

#[derive(Debug)]
pub(super) struct Lines<T> {
    /// The deliveries queued behind the one of each line that is being sent.
    behind: HashMap<Line, VecDeque<Item<T>>>,
    /// By endpoint.
    claimed: BTreeMap<String, usize>,
    /// Those among them that go to receivers which a purge named.
    of_purges: usize,
    total: usize,
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self { behind: HashMap::new(), claimed: BTreeMap::new(), of_purges: 0, total: 0 }
    }
}

fn line(delivery: &Delivery) -> Line {
    (delivery.endpoint.clone(), delivery.purge.unwrap_or(delivery.id))
}

impl<T> Lines<T> {
    /// Takes a claimed delivery; returns it if it is to be sent now.
    pub(super) fn begin(&mut self, item: Item<T>) -> Option<Item<T>> {
        *self.claimed.entry(item.delivery.endpoint.clone()).or_default() += 1;
        self.total += 1;
        self.of_purges += usize::from(item.delivery.is_of_purge);
        if let Some(behind) = self.behind.get_mut(&line(&item.delivery)) {
            behind.push_back(item);
            return None;
        }
        self.behind.insert(line(&item.delivery), VecDeque::new());
        Some(item)
    }

    /// A delivery is finished; returns the next one to send.
    pub(super) fn end(&mut self, delivery: &Delivery) -> Option<Item<T>> {
        self.forget(delivery);
        let line = line(delivery);
        let next = self.behind.get_mut(&line).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.behind.remove(&line);
        }
        next
    }

    /// Removes all that were not started.
    pub(super) fn abandon(&mut self) -> Vec<Delivery> {
        let waiting = self.behind.values_mut().flat_map(std::mem::take);
        let waiting: Vec<Delivery> = waiting.map(|item| item.delivery).collect();
        for delivery in &waiting {
            self.forget(delivery);
        }
        waiting
    }

    /// How many of each endpoint are claimed.
    pub(super) fn claimed(&self) -> &BTreeMap<String, usize> {
        &self.claimed
    }

    /// How many go to the operator and to registered endpoints.
    pub(super) fn registered(&self) -> usize {
        self.total - self.of_purges
    }

    /// How many go to receivers that a purge named.
    pub(super) fn of_purges(&self) -> usize {
        self.of_purges
    }

    fn forget(&mut self, delivery: &Delivery) {
        self.total -= 1;
        self.of_purges -= usize::from(delivery.is_of_purge);
        if let Some(number) = self.claimed.get_mut(&delivery.endpoint) {
            *number -= 1;
            if *number == 0 {
                self.claimed.remove(&delivery.endpoint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: u128, endpoint: &str, purge: Option<u128>) -> Item<()> {
        let delivery = Delivery {
            id: Uuid::from_u128(id),
            epoch: 1,
            event_id: Uuid::from_u128(id),
            endpoint: endpoint.to_owned(),
            is_of_purge: endpoint == "b",
            purge: purge.map(Uuid::from_u128),
            payload: String::new(),
            attempt: 1,
            tries: 1,
        };
        Item { delivery, with: () }
    }

    fn id(item: Option<&Item<()>>) -> Option<u128> {
        item.map(|item| item.delivery.id.as_u128())
    }

    #[test]
    fn what_tells_an_endpoint_of_one_purge_goes_one_after_the_other() {
        let mut lines = Lines::default();
        let first = lines.begin(item(1, "a", Some(7)));
        assert_eq!(id(first.as_ref()), Some(1));
        assert_eq!(id(lines.begin(item(2, "a", Some(7))).as_ref()), None, "behind the first");
        assert_eq!(id(lines.begin(item(3, "a", Some(8))).as_ref()), Some(3), "another purge");
        assert_eq!(id(lines.begin(item(4, "b", Some(7))).as_ref()), Some(4), "another endpoint");
        assert_eq!(id(lines.begin(item(5, "a", None)).as_ref()), Some(5), "of no purge");
        assert_eq!(id(lines.begin(item(6, "a", Some(7))).as_ref()), None);
        assert_eq!(
            (lines.claimed()["a"], lines.claimed()["b"], lines.registered(), lines.of_purges()),
            (5, 1, 5, 1)
        );
        let second = lines.end(&first.unwrap().delivery);
        assert_eq!(id(second.as_ref()), Some(2));
        assert_eq!(lines.abandon().iter().map(|left| left.id.as_u128()).collect::<Vec<_>>(), [6]);
        assert_eq!(id(lines.end(&second.unwrap().delivery).as_ref()), None);
        assert_eq!((lines.registered(), lines.of_purges()), (2, 1));
        assert_eq!(id(lines.begin(item(7, "a", Some(7))).as_ref()), Some(7), "the line is empty again");
    }
}
