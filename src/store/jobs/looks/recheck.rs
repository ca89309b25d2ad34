//! Recheck: a waiting job's ids are queried again before its intent. Conversations that may no longer be deleted leave
//! the job.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::settling::{Settling, signed};
use crate::domain::clocks::{self, Skew};
use crate::domain::eligibility::{Evidence, Since, Verdict, judge};
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::codes;
use crate::domain::state::JobResult;
use crate::store::StoreError;
use crate::store::findings;
use crate::store::holds::protect;
use crate::store::jobs::facts::FactsStamp;
use crate::store::jobs::{ending, pack, parts, reserve};
use crate::store::slices::Place;
use crate::store::tx::{Tx, Writes as _};

/// The data for judging the conversations, beside the answers.
struct Circumstances {
    held: HashSet<Uuid>,
    carried: HashSet<Uuid>,
    since: HashMap<Uuid, Since>,
    /// The earliest of the clocks.
    now: Timestamp,
}

/// Judges the conversations with an answer; the rest is queried next, and those without an answer several times in a
/// row leave the job.
pub(super) async fn record(
    settling: &mut Settling<'_>,
    own_time: Timestamp,
) -> Result<Result<(), Skew>, StoreError> {
    let now = match clocks::earliest(settling.now, own_time, settling.answers.upstream_time) {
        Ok(now) => now,
        Err(skew) => return Ok(Err(skew)),
    };
    // Nothing of it was submitted since it waits, so it may go.
    let Settling { tx, patch, parts, job, org, .. } = settling;
    reserve::leave_out(tx, patch, org, job.id, parts).await?;
    let (look, answers) = (settling.look, settling.answers);
    let circumstances = Circumstances {
        held: protect::held_among(&mut settling.tx, settling.org, &look.ids).await?,
        carried: findings::carried_among(&mut settling.tx, settling.org, &answers.left_out()).await?,
        since: findings::since(&mut settling.tx, settling.org, &look.ids, look.asked_at).await?,
        now,
    };
    let (mut staying, mut leaving, mut untold) = (Vec::new(), Vec::new(), 0);
    for (place, id) in parts::with_ids(&settling.parts, &settling.patch) {
        if settling.is_looked(place) {
            staying.push(id);
            continue;
        }
        match settling.judge(&circumstances, place, id)? {
            Rechecked::Stays => staying.push(id),
            Rechecked::Untold => {
                staying.push(id);
                untold += 1;
            }
            Rechecked::Leaves => leaving.push((place, id)),
        }
    }
    let Settling { tx, patch, parts, job, org, .. } = settling;
    reserve::release(tx, patch, org, job.id, parts, &leaving).await?;
    parts::remove(parts, &leaving);
    if untold == 0 {
        for part in parts.values_mut() {
            part.looked.clear();
        }
    }
    parts::store(tx, job.id, parts).await?;
    if staying.is_empty() {
        ending::finish(tx, job.id, JobResult::Withdrawn, None).await?;
        return Ok(Ok(()));
    }
    pack::set_ids(tx, job.id, &staying).await?;
    if untold == 0 {
        keep_waiting(tx, job.id).await?;
    } else {
        settling.look_again(settling.terms.absence_gap, false).await?;
    }
    Ok(Ok(()))
}

enum Rechecked {
    Stays,
    Leaves,
    Untold,
}

impl Settling<'_> {
    /// Decides about one conversation; those that leave the job get a decision.
    fn judge(
        &mut self,
        circumstances: &Circumstances,
        place: Place,
        id: Uuid,
    ) -> Result<Rechecked, StoreError> {
        let Some(cell) = self.patch.cell(place) else { return Ok(Rechecked::Leaves) };
        if let Some(reason) = self.answers.refused.get(&id) {
            self.patch.decide(place, Outcome::Eligible, Outcome::Failed, reason.clone())?;
            return Ok(Rechecked::Leaves);
        }
        if !self.answers.told.contains(&id) {
            if self.is_patient() {
                return Ok(Rechecked::Untold);
            }
            self.patch.decide(place, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE)?;
            return Ok(Rechecked::Leaves);
        }
        let gap = signed(self.terms.absence_gap);
        let absent_at = self.patch.slice(place.slice).and_then(|slice| slice.absent_at);
        let evidence = Evidence {
            facts: self.answers.facts.get(&id),
            cell,
            is_absence_old_enough: absent_at.is_some_and(|at| self.look.asked_at.duration_since(at) >= gap),
            is_held: circumstances.held.contains(&id),
            was_carried_elsewhere: circumstances.carried.contains(&id),
        };
        let verdict = judge(evidence, &self.look.policy, circumstances.now);
        let since = circumstances.since.get(&id).copied().unwrap_or_default();
        if matches!(verdict, Verdict::Decided(outcome, _) if since.outdates(outcome)) {
            // While the answer was on its way another purge has learned more.
            let reason = if since.gone { codes::PURGED_ELSEWHERE } else { codes::FACTS_STALE };
            self.patch.decide(place, Outcome::Eligible, Outcome::Pending, reason)?;
            return Ok(Rechecked::Leaves);
        }
        match verdict {
            Verdict::Decided(Outcome::Eligible, _) => {
                self.note_fresh(place);
                return Ok(Rechecked::Stays);
            }
            Verdict::Decided(outcome, reason) => {
                self.patch.decide(place, Outcome::Eligible, outcome, reason)?;
            }
            Verdict::AbsentOnce => {
                self.patch.decide(place, Outcome::Eligible, Outcome::Pending, codes::FACTS_STALE)?;
                self.patch.mark(place, Marks::ABSENT, Marks::NONE)?;
                if let Some(slice) = self.patch.slice_mut(place.slice) {
                    slice.absent_at = Some(self.now);
                    slice.run_at = Some(self.now + gap);
                }
            }
        }
        Ok(Rechecked::Leaves)
    }

    /// The facts of a part are as old as the oldest of the round.
    fn note_fresh(&mut self, place: Place) {
        let stamp = FactsStamp { at: self.look.asked_at, epoch: self.look.policy_epoch };
        if let Some(part) = self.parts.get_mut(&place.slice) {
            let of_round = part.facts.filter(|_| !part.looked.is_empty());
            part.facts = Some(of_round.map_or(stamp, |facts| facts.oldest(stamp)));
            part.looked.insert(place.position);
        }
    }
}

/// The rest of the job waits for its intent, with the facts of this round.
async fn keep_waiting(tx: &mut Tx, job: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "-- record_recheck
        update jobs
        set recheck = false, rechecked = true, run_at = clock_timestamp(), lease_until = null, blind = 0, tries = 0
        where id = $1 and state = 'waiting'",
        job
    )
    .exactly(tx, 1)
    .await
}
