//! The event for a purge and its receivers about an upstream job that ended: once, when the purge's last conversations
//! in it are settled, so that it can say how many were seen to be gone.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::settling::Settling;
use crate::domain::outcome::Outcome;
use crate::store::StoreError;
use crate::store::events::OfPurge;
use crate::store::jobs::ended::{self, Share};
use crate::store::slices::Place;

/// The job's conversations of each purge, as a look found them.
pub(super) struct Carried(BTreeMap<Uuid, Of>);

#[derive(Default)]
struct Of {
    places: Vec<Place>,
    /// Some of it was open.
    was_open: bool,
}

impl Carried {
    pub(super) fn of(settling: &Settling<'_>) -> Self {
        let mut carried = BTreeMap::<Uuid, Of>::new();
        for place in settling.places() {
            let of = carried.entry(place.slice.purge).or_default();
            // Unreadable conversations count as open.
            let outcome = settling.patch.cell(place).map(|cell| cell.outcome);
            of.was_open |= outcome.is_none_or(|outcome| outcome == Outcome::Submitted);
            of.places.push(place);
        }
        Self(carried)
    }

    /// The events of the purges without open conversations; `is_over`: the job has released everything.
    pub(super) fn settled(self, settling: &Settling<'_>, is_over: bool) -> Result<Vec<OfPurge>, StoreError> {
        let purge_count = self.0.len();
        let outcome = |place: &Place| settling.patch.cell(*place).map(|cell| cell.outcome);
        let is_open = |place: &Place| match outcome(place) {
            Some(outcome) => outcome == Outcome::Submitted,
            None => !is_over,
        };
        let settled = self.0.into_iter().filter(|(_, of)| of.was_open && !of.places.iter().any(is_open));
        let shares = settled.map(|(purge, of)| {
            let gone = of.places.iter().filter(|place| outcome(place) == Some(Outcome::Purged)).count();
            Share { purge, gone: i64::try_from(gone).unwrap_or(i64::MAX) }
        });
        ended::of_purges(&settling.job, settling.now, purge_count, shares.collect())
    }
}
