//! Verify: after the end of the upstream job. Conversations that are gone are purged; those still there are looked at
//! again, then submitted again or failed.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::settling::{Settling, Tally};
use crate::domain::backoff;
use crate::domain::facts::Presence;
use crate::domain::outcome::Outcome;
use crate::domain::reason::{Reason, codes};
use crate::domain::verdict::{Leftover, Remedy, Sight, can_be_gone, remedy};
use crate::store::StoreError;
use crate::store::orgs::pace;
use crate::store::purges::canceling;
use crate::store::slices::{Place, SliceKey};
use crate::store::tx::{Rows as _, Writes as _};

pub(super) async fn record(settling: &mut Settling<'_>) -> Result<(), StoreError> {
    let settled = settling.settle_ended().await?;
    if settled.tally.gone > 0 {
        settling.note_lag().await?;
    }
    match settled.again {
        Some(again) => settling.look_again(again, settled.tally.gone > 0).await,
        None => settling.done().await,
    }
}

/// The result of a look after the end.
pub(super) struct Settled {
    pub(super) tally: Tally,
    /// When open conversations are looked at again; `None` if there are none.
    pub(super) again: Option<Duration>,
}

/// A look this long after it was due was delayed.
const TIMELY: Duration = Duration::from_mins(1);

impl Settling<'_> {
    /// Settles what was told of a job that ended, or that is past its deadline.
    pub(super) async fn settle_ended(&mut self) -> Result<Settled, StoreError> {
        // Since its end, or since its deadline where upstream calls it running, so long a time has passed that what could
        // not be told of by now is given up.
        let is_blind_too_long = self.is_past_deadline(self.job.ended_at.or(self.job.overdue_since));
        let leftovers = self.leftovers().await?;
        let (mut tally, mut soonest, mut left_out) = (Tally::default(), None::<Duration>, Vec::new());
        for (place, id) in self.places_with(Outcome::Submitted) {
            if let Some(reason) = self.answers.refused.get(&id) {
                if is_blind_too_long || self.job.overdue_since.is_some() {
                    let reason = Reason { detail: reason.detail.clone(), ..codes::UNVERIFIED };
                    self.patch.decide(place, Outcome::Submitted, Outcome::Failed, reason)?;
                } else {
                    tally.untold += 1;
                }
                continue;
            }
            match self.sight(&mut tally, place, id)? {
                Some(Sight::Gone) if self.answers.facts.contains_key(&id) => {
                    self.patch.decide(place, Outcome::Submitted, Outcome::Purged, codes::GONE)?;
                }
                Some(Sight::Gone) => left_out.push(place),
                Some(Sight::Present) => {
                    let leftover = leftovers.of(self, place, id);
                    match remedy(leftover) {
                        Remedy::LookAgain => {
                            let left = leftover.patience().saturating_sub(leftover.since_end);
                            soonest = Some(soonest.map_or(left, |soonest| soonest.min(left)));
                        }
                        Remedy::Decided(outcome, reason) => {
                            self.patch.decide(place, Outcome::Submitted, outcome, reason)?;
                        }
                    }
                }
                Some(Sight::AbsentOnce) | None => {}
            }
        }
        if !self.settle_left_out(&left_out, is_blind_too_long)? {
            tally.gone -= left_out.len();
        }
        if is_blind_too_long && !self.is_patient() {
            self.fail_untold(&codes::UNVERIFIED)?;
        }
        let is_open = !self.places_with(Outcome::Submitted).is_empty();
        let again = is_open.then(|| self.next_look(&tally, soonest));
        Ok(Settled { tally, again })
    }

    /// Settles what two answers left out; `false` where upstream says that its job has not done so much. Then it is looked at
    /// again, until it is too late for that.
    fn settle_left_out(&mut self, left_out: &[Place], is_too_late: bool) -> Result<bool, StoreError> {
        let processed = self.job.upstream_succeeded.and(self.job.records_processed);
        let gone = self.places_with(Outcome::Purged).len() + left_out.len();
        let (outcome, reason) = if left_out.is_empty() || can_be_gone(gone, processed) {
            (Outcome::Purged, codes::ABSENT_TWICE)
        } else {
            let detail = format!(
                "upstream says that its job processed {} records, and answers lack {gone} conversations",
                processed.unwrap_or_default()
            );
            tracing::warn!(org = self.org, job = %self.job.id, detail, "answers lack more conversations than Genesys processed; they prove nothing");
            if !is_too_late {
                return Ok(false);
            }
            (Outcome::Failed, Reason { detail: Some(detail), ..codes::UNVERIFIED })
        };
        for place in left_out {
            self.patch.decide(*place, Outcome::Submitted, outcome, reason.clone())?;
        }
        Ok(outcome == Outcome::Purged)
    }

    /// When to look again: after a first absence, when a decision about the rest is due, or with backoff.
    pub(super) fn next_look(&self, tally: &Tally, soonest: Option<Duration>) -> Duration {
        if tally.absent_once > 0 {
            return self.terms.absence_gap;
        }
        let by_and_by = backoff::step(self.look.tries, 1.0) / 2;
        soonest.filter(|soonest| !soonest.is_zero()).map_or(by_and_by, |soonest| by_and_by.min(soonest))
    }

    /// What is needed to decide about those that are still there, if any is.
    async fn leftovers(&mut self) -> Result<Leftovers, StoreError> {
        let is_present = |presence: Presence| match presence {
            Presence::Held | Presence::Present => true,
            Presence::Gone => false,
        };
        if !self.answers.facts.values().any(|facts| is_present(facts.presence)) {
            return Ok(Leftovers::default());
        }
        let purges = self.parts.keys().map(|key| key.purge).collect();
        Ok(Leftovers {
            lag: pace::observed(&mut self.tx, self.org).await?.lag,
            canceling: canceling::among(&mut self.tx, purges).await?,
            attempts: self.attempts().await?,
        })
    }

    /// How many jobs of the present run have left each conversation undeleted.
    async fn attempts(&mut self) -> Result<HashMap<Place, u32>, StoreError> {
        let still_present = codes::STILL_PRESENT;
        let rows = sqlx::query!(
            "-- count_attempts
            select d.purge_id, d.slice_no, d.positions
            from decisions d
            join unnest($1::uuid[], $2::int[]) as wanted (purge_id, slice_no)
              on (d.purge_id, d.slice_no) = (wanted.purge_id, wanted.slice_no)
            join purges p on p.id = d.purge_id and p.run = d.run
            where d.step = 'verify' and d.code = $3 and d.to_outcome = $4",
            &self.parts.keys().map(|key| key.purge).collect::<Vec<_>>(),
            &self.parts.keys().map(|key| key.no).collect::<Vec<_>>(),
            still_present.code.as_ref(),
            i16::from(Outcome::Eligible.code())
        )
        .all(&mut self.tx)
        .await?;
        let mut attempts = HashMap::new();
        for row in rows {
            let slice = SliceKey { purge: row.purge_id, no: row.slice_no };
            for position in row.positions.into_iter().filter_map(|position| usize::try_from(position).ok()) {
                *attempts.entry(Place { slice, position }).or_default() += 1;
            }
        }
        Ok(attempts)
    }

    /// Notes how late the deletions showed: from the last moment at which the job is known to have been running to now, so
    /// that it is never short. A lag that came out too short would have the next job taken for failed, and its ids
    /// submitted again.
    ///
    /// A look that came late for reasons of our own, and polls that came far apart, tell nothing of that.
    async fn note_lag(&mut self) -> Result<(), StoreError> {
        let late = self.look.asked_at.duration_since(self.look.due_at).unsigned_abs();
        let Some((not_ended_at, ended_at)) = self.job.not_ended_at().zip(self.job.ended_at) else {
            return Ok(());
        };
        let uncertain = ended_at.duration_since(not_ended_at).unsigned_abs();
        let were_polls_apart = self.job.seen_running_at.is_some() && uncertain > self.terms.poll_max * 2;
        if self.look.blind > 0 || late > TIMELY || were_polls_apart {
            return Ok(());
        }
        sqlx::query!(
            "-- note_lag
            update jobs set lag_seconds = greatest(lag_seconds, $2) where id = $1",
            self.job.id,
            self.now.duration_since(not_ended_at).as_secs_f64()
        )
        .exactly(&mut self.tx, 1)
        .await
    }
}

/// The data for deciding about conversations that are still there.
#[derive(Default)]
struct Leftovers {
    lag: Option<Duration>,
    canceling: std::collections::HashSet<Uuid>,
    attempts: HashMap<Place, u32>,
}

impl Leftovers {
    fn of(&self, settling: &Settling<'_>, place: Place, id: Uuid) -> Leftover {
        let presence = settling.answers.facts.get(&id).map(|facts| facts.presence);
        Leftover {
            since_end: settling.since_end(),
            lag: self.lag,
            is_job_lost: settling.job.is_lost(),
            is_overdue: settling.job.overdue_since.is_some(),
            is_held: presence == Some(Presence::Held),
            attempts: self.attempts.get(&place).copied().unwrap_or_default() + 1,
            max_attempts: settling.terms.max_attempts,
            is_canceling: self.canceling.contains(&place.slice.purge),
            verify_timeout: settling.terms.verify_timeout,
            resubmit_after: settling.terms.resubmit_after,
        }
    }
}
