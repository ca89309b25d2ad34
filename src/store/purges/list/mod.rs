//! Lists purges, newest first. The filter decides which index is used; each begins with the org, so that the purges of
//! other orgs cost nothing; see `migrations/0003_lists.sql`, `migrations/0009_reach.sql` and
//! `migrations/0028_questions.sql`.

mod lead;
mod narrow;

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::load::{Purge, load};
use super::tags;
use crate::domain::keys::Reach;
use crate::domain::state::PurgeState;
use crate::store::tx::Tx;
use crate::store::{Store, StoreError};
use lead::Lead;
use narrow::Filter;

/// Which purges are asked for; all of it must be so. Those of one org are asked for by the reach.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub state: Option<PurgeState>,
    pub reference: Option<String>,
    /// Key and value.
    pub label: Option<(String, String)>,
    /// The name of the key that asked for it.
    pub requested_by: Option<String>,
    /// Accepted then or later.
    pub created_after: Option<Timestamp>,
    /// Accepted before.
    pub created_before: Option<Timestamp>,
    /// Ended then or later: these are listed by their end, the last first.
    pub finished_after: Option<Timestamp>,
}

/// The end of a page: the time by which the list is ordered, if it is, and a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    Id(Uuid),
    At(Timestamp, Uuid),
}

impl Place {
    const fn id(self) -> Uuid {
        match self {
            Self::Id(id) | Self::At(_, id) => id,
        }
    }
}

/// How many purges are filtered at first for each row of a page, if they must match other filters too; then twice as many each
/// time.
const CANDIDATES_A_ROW: usize = 10;

/// The maximum filtered at once.
const CANDIDATES: usize = 5000;

/// So often for one page: a tag that nearly all purges have must not make a list run for ever.
const ROUNDS: usize = 12;

impl Store {
    /// Up to `limit` purges after the place `after`, and the place to go on after, unless these were all. That, too, is the
    /// place of a purge within the reach.
    pub async fn list_purges(
        &self,
        reach: &Reach,
        wanted: &Wanted,
        after: Option<Place>,
        limit: usize,
    ) -> Result<(Vec<Purge>, Option<Place>), StoreError> {
        let mut tx = self.begin_request("list_purges").await?;
        let reference = wanted.reference.as_deref().map(tags::of_reference);
        let label = wanted.label.as_ref().map(|(key, value)| tags::of_label(key, value));
        let tags = reference.into_iter().chain(label).collect();
        let (lead, filter) = lead::choose(wanted, tags);
        let found = find(&mut tx, reach, &lead, &filter, after, limit).await?;
        let ids: Vec<Uuid> = found.places.iter().map(|place| place.id()).collect();
        let mut purges = load(&mut tx, reach, &ids).await?;
        // A purge may have changed its state between the two statements.
        purges.retain(|purge| wanted.state.is_none_or(|state| state == purge.state));
        let nth: HashMap<Uuid, usize> = ids.into_iter().enumerate().map(|(nth, id)| (id, nth)).collect();
        purges.sort_by_key(|purge| nth.get(&purge.id).copied());
        Ok((purges, found.next))
    }
}

/// The places of a page.
#[derive(Debug, Default)]
struct Found {
    places: Vec<Place>,
    /// There may be more after this one.
    next: Option<Place>,
}

impl Found {
    /// A page of places of which one more was asked for than it may have.
    fn page(mut places: Vec<Place>, limit: usize) -> Self {
        let has_more = places.len() > limit;
        places.truncate(limit);
        let next = places.last().copied().filter(|_| has_more);
        Self { places, next }
    }
}

/// Filters the purges that the index finds by the other filters. Without any, the page is found at once.
async fn find(
    tx: &mut Tx,
    reach: &Reach,
    lead: &Lead,
    filter: &Filter,
    mut after: Option<Place>,
    limit: usize,
) -> Result<Found, StoreError> {
    let mut at_once = if filter.is_empty() {
        limit.saturating_add(1)
    } else {
        limit.saturating_mul(CANDIDATES_A_ROW).clamp(1, CANDIDATES)
    };
    let mut places = Vec::new();
    for _ in 0..ROUNDS {
        let candidates = lead.candidates(tx, reach, after, at_once).await?;
        let is_last = candidates.len() < at_once;
        after = candidates.last().copied().or(after);
        if filter.is_empty() {
            return Ok(Found::page(candidates, limit));
        }
        places.extend(narrow::narrow(tx, candidates, filter).await?);
        if is_last || places.len() > limit {
            return Ok(Found::page(places, limit));
        }
        at_once = at_once.saturating_mul(2).min(CANDIDATES);
    }
    Ok(Found { places, next: after })
}
