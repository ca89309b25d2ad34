//! Late: after the end of a job that was given up. Conversations that are gone after all are recorded, but their
//! outcomes stay; the job releases each id whose result is known, so that each look has fewer to query.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use super::settling::{Settling, Tally};
use crate::domain::events::EventType;
use crate::domain::outcome::{Cell, Marks, Outcome};
use crate::domain::reason::codes;
use crate::domain::verdict::Sight;
use crate::store::StoreError;
use crate::store::events::OfPurge;
use crate::store::jobs::{parts, reserve};
use crate::store::orgs::pace;
use crate::store::slices::Place;

/// Records for each purge which conversations are gone after all.
pub(super) async fn record(settling: &mut Settling<'_>) -> Result<Vec<OfPurge>, StoreError> {
    let kept = reserve::kept_by(&mut settling.tx, settling.job.id).await?;
    let lag = pace::observed(&mut settling.tx, settling.org).await?.lag.unwrap_or_default();
    // By experience and by the settings, deletions have shown by now: conversations still there were not deleted by
    // this job.
    let has_shown = settling.since_end() >= lag.max(settling.terms.verify_timeout);
    let seen = see(settling, &kept, has_shown)?;
    // Before ids are released: no waiters are left to wake.
    reserve::wait_no_more_for(&mut settling.tx, settling.org, &seen.taken_up).await?;
    settling.let_go(&seen.known).await?;
    if seen.open == 0 {
        settling.conclude().await?;
    } else {
        let wait = settling.next_look(&seen.tally, None);
        settling.look_again(wait, !seen.known.is_empty()).await?;
    }
    Ok(gone_late(settling.job.id, seen.gone))
}

/// What a look came to.
#[derive(Default)]
struct Seen {
    tally: Tally,
    /// Seen to be gone, by purge.
    gone: BTreeMap<Uuid, Vec<Uuid>>,
    /// A retry had taken these up, and they are seen to be gone.
    taken_up: Vec<(Place, Uuid)>,
    /// What the job has nothing to do with any more.
    known: Vec<(Place, Uuid)>,
    /// So many are to be looked at again.
    open: usize,
}

fn see(settling: &mut Settling<'_>, kept: &HashSet<Uuid>, has_shown: bool) -> Result<Seen, StoreError> {
    let is_blind_too_long = settling.is_past_deadline(settling.job.ended_at) && !settling.is_patient();
    let mut seen = Seen::default();
    let carried = parts::with_ids(&settling.parts, &settling.patch);
    for (place, id) in carried.into_iter().filter(|(_, id)| kept.contains(id)) {
        let Some(cell) = settling.patch.cell(place) else { continue };
        let is_known = is_settled(cell)
            || match settling.sight(&mut seen.tally, place, id)? {
                Some(Sight::Gone) => {
                    if cell.outcome.is_final() {
                        settling.patch.note_gone(place, codes::GONE_LATE)?;
                        seen.gone.entry(place.slice.purge).or_default().push(id);
                    } else if cell.marks.has(Marks::CARRIED) {
                        // A retry has taken it up. What is seen here is seen: a hold or a cancel hears of it at once.
                        settling.patch.decide(
                            place,
                            cell.outcome,
                            Outcome::Purged,
                            codes::SEEN_GONE_LATER,
                        )?;
                        settling.patch.mark(place, Marks::NONE, Marks::ELSEWHERE)?;
                        seen.taken_up.push((place, id));
                    }
                    true
                }
                Some(Sight::Present) => has_shown,
                Some(Sight::AbsentOnce) => false,
                None => settling.is_given_up(cell, id, has_shown, is_blind_too_long),
            };
        if is_known {
            seen.known.push((place, id));
        } else {
            seen.open += 1;
        }
    }
    Ok(seen)
}

/// It is final because it is gone: nothing more is to be found out.
fn is_settled(cell: Cell) -> bool {
    cell.outcome.is_final() && !cell.outcome.ended_otherwise()
}

impl Settling<'_> {
    /// Nothing was told of it, and nothing will be.
    fn is_given_up(&self, cell: Cell, id: Uuid, has_shown: bool, is_blind_too_long: bool) -> bool {
        let is_refused = self.answers.refused.contains_key(&id);
        let is_past_deadline = self.is_past_deadline(self.job.ended_at);
        match (cell.outcome.is_final(), is_refused) {
            (true, true) => is_past_deadline,
            // What a retry has taken up is asked about afresh as soon as deletions have shown.
            (false, true) => has_shown,
            (_, false) => is_blind_too_long,
        }
    }
}

fn gone_late(job: Uuid, gone: BTreeMap<Uuid, Vec<Uuid>>) -> Vec<OfPurge> {
    let event = |(purge, ids): (Uuid, Vec<Uuid>)| OfPurge {
        purge,
        event: EventType::GoneLate,
        job: Some(job),
        payload: serde_json::json!({ "conversationIds": ids }),
        webhook: None,
    };
    gone.into_iter().map(event).collect()
}
