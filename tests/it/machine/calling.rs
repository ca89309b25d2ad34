//! Packing, intents, the calls that delete, and polls.

use std::collections::BTreeSet;
use std::time::Duration;

use genesys_purge::domain::reason::Reason;
use genesys_purge::store::StoreError;
use genesys_purge::store::jobs::intend;
use genesys_purge::store::jobs::pack::Packed;
use genesys_purge::store::jobs::polled;
use genesys_purge::store::jobs::submitted::{Accepted, Refusal};
use genesys_purge::store::slices::claim::Claim;
use serde_json::json;
use uuid::Uuid;

use super::ground::{ORG, TERMS};
use super::steps::{Polled, Reply};
use super::time::own_time;
use super::truth::{Kind, Truth, Word};
use super::walk::{Intended, Named, Walk, chosen};

impl Walk<'_> {
    /// Packs a job, or has what was drawn wait; tells whether there was anything to draw.
    pub async fn pack(&mut self) -> bool {
        let packed = self.ground.store.pack(&self.org).await.unwrap();
        assert!(packed == Packed::Nothing || !self.is_stopped, "a job is packed for an org that is stopped");
        packed != Packed::Nothing
    }

    /// Commits the next intent; tells whether a job has changed.
    pub async fn intend(&mut self) -> bool {
        let call_before = self.truth.now() + TERMS.intent_ttl;
        match self.ground.store.intend(&self.org, &TERMS, own_time()).await.unwrap() {
            intend::Intended::Intent(intent) => {
                self.examine(&intent).await;
                self.intents.push(Intended { intent, call_before });
                true
            }
            intend::Intended::Changed => true,
            intend::Intended::NoPermit | intend::Intended::Nothing => false,
        }
    }

    /// Nothing stands against anything that the intent names.
    async fn examine(&mut self, intent: &intend::Intent) {
        self.truth.settle();
        assert!(!self.is_stopped, "an intent for an org that is stopped");
        for &id in &intent.ids {
            let held = self.truth.holds.iter().find(|hold| hold.ids.contains(&id));
            assert!(held.is_none(), "an intent names {id}, which is held by {held:?}");
            let kind = self.truth.kinds[&id];
            assert!(!matches!(kind, Kind::Young | Kind::Active), "an intent names {id}, which is {kind:?}");
            let live = self.truth.may_delete(id);
            assert!(live.is_none(), "an intent names {id}, which {live:?} may delete");
            let told = self.truth.words.get(&id);
            let word = told.map(|(_, word)| *word);
            assert_eq!(word, Some(Word::Free), "an intent names {id}; what was told of it last");
            let age = told.map(|(at, _)| self.truth.now().saturating_sub(*at)).unwrap_or_default();
            let most = TERMS.validation_max_age + Duration::from_secs(1);
            assert!(age <= most, "an intent names {id}, of which was told {age:?} ago");
        }
        let named: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "select p.purge_id, s.ids[at + 1]
             from job_parts p
             join slices s using (purge_id, slice_no)
             cross join unnest(p.positions) as at
             where p.job_id = $1",
        )
        .bind(intent.lease.job)
        .fetch_all(&mut self.ground.connection)
        .await
        .unwrap();
        let of_parts: BTreeSet<Uuid> = named.iter().map(|(_, id)| *id).collect();
        assert_eq!(of_parts, intent.ids.iter().copied().collect(), "what the job carries is what it names");
        assert_eq!(named.len(), intent.ids.len(), "an id is carried once");
        for (of, id) in named {
            let purge = self.purge(of);
            let may_go = !purge.is_dry_run && !purge.is_paused && !purge.is_canceled;
            assert!(may_go, "an intent for {purge:?}");
            let (job, attempt) = (intent.lease.job, intent.attempt);
            self.named.insert(Named { purge: of, id, job, attempt });
        }
    }

    /// Makes the call of an intent, if it is not too late for it, and records what came of it.
    pub async fn call(&mut self, number: u8, reply: Reply) {
        let Some(number) = chosen(number, self.intents.len()) else { return };
        let Intended { intent, call_before } = self.intents.remove(number);
        if let Reply::Died { is_made, deletes } = reply {
            if is_made && self.truth.now() < call_before && self.protected(&intent.ids).is_empty() {
                self.truth.run(intent.lease.job, &intent.ids, deletes, TERMS.ambiguity_grace);
            }
            return;
        }
        if self.truth.now() >= call_before {
            self.refused(&intent, &Refusal::Again(Duration::ZERO)).await;
            return;
        }
        let reason = || Reason::upstream(Some("bad.request"), "not these");
        let protected = self.protected(&intent.ids);
        match reply {
            Reply::Throttled => self.refused(&intent, &Refusal::Again(Duration::ZERO)).await,
            Reply::UnnamedConflict => self.refused(&intent, &Refusal::UnnamedConflict).await,
            Reply::Conflict(bits) => {
                let chosen = self.truth.chosen(bits);
                let named = intent.ids.iter().copied().filter(|id| chosen.contains(id)).chain(protected);
                let named: std::collections::HashSet<Uuid> = named.collect();
                let refusal =
                    if named.is_empty() { Refusal::UnnamedConflict } else { Refusal::Conflict(named) };
                self.refused(&intent, &refusal).await;
            }
            Reply::Invalid => self.refused(&intent, &Refusal::Invalid(reason())).await,
            Reply::Rejected => self.refused(&intent, &Refusal::Rejected(reason())).await,
            Reply::Yes { .. } if !protected.is_empty() => {
                self.refused(&intent, &Refusal::Conflict(protected.into_iter().collect())).await;
            }
            Reply::Yes { deletes } => self.accepted(&intent, deletes).await,
            Reply::LostMade { deletes } => {
                if protected.is_empty() {
                    self.truth.run(intent.lease.job, &intent.ids, deletes, TERMS.ambiguity_grace);
                }
                self.lost(&intent).await;
            }
            Reply::LostUnmade | Reply::Died { .. } => self.lost(&intent).await,
        }
    }

    fn protected(&self, ids: &[Uuid]) -> Vec<Uuid> {
        ids.iter().copied().filter(|id| self.truth.kinds[id] == Kind::Held).collect()
    }

    async fn accepted(&mut self, intent: &intend::Intent, deletes: u8) {
        let lasts = Truth::for_ever(&TERMS);
        let upstream_job_id = self.truth.run(intent.lease.job, &intent.ids, deletes, lasts);
        let accepted = Accepted {
            upstream_job_id,
            body_sha256: [0; 32],
            first_poll: TERMS.poll_initial,
            expected: None,
        };
        let is_new = self.ground.store.record_accepted(ORG, intent.lease, &accepted).await.unwrap();
        assert!(is_new, "{accepted:?}");
        self.tally.jobs += 1;
    }

    async fn lost(&mut self, intent: &intend::Intent) {
        let error = json!({ "call": "submit" });
        self.ground.store.record_lost(ORG, intent.lease, [0; 32], &error, &TERMS).await.unwrap();
    }

    async fn refused(&mut self, intent: &intend::Intent, refusal: &Refusal) {
        let error = json!({ "call": "submit" });
        let recorded = self.ground.store.record_refused(ORG, intent.lease, refusal, &error).await;
        match recorded {
            Ok(()) => {
                let (job, attempt) = (intent.lease.job, intent.attempt);
                self.named.retain(|named| (named.job, named.attempt) != (job, attempt));
            }
            Err(StoreError::LeaseLost { .. }) => {}
            Err(error) => panic!("{refusal:?}: {error}"),
        }
    }

    /// Asks after the next upstream job that is due; tells whether there was one.
    pub async fn poll(&mut self, told: Polled) -> bool {
        let claim = self.ground.store.claim_poll(&self.org, TERMS.lease).await.unwrap();
        let Claim::Claimed(poll, _) = claim else { return false };
        self.truth.settle();
        let mut jobs = self.truth.jobs.iter();
        let number = jobs.position(|job| job.name == poll.upstream_job_id).unwrap();
        let again = Duration::from_secs(30);
        let error = json!({ "call": "poll" });
        let job = &self.truth.jobs[number];
        let polled = match told {
            Polled::Silent => polled::Polled::Silent { again, error },
            Polled::Missing => {
                self.truth.stop_within(number, TERMS.verify_timeout);
                polled::Polled::Missing { again, error }
            }
            Polled::Working if !job.is_ended && !job.has_stopped => {
                polled::Polled::Working { state: "running".to_owned(), records_processed: None, again }
            }
            Polled::Working => self.ended(number, true, false),
            Polled::Ended { is_completed, is_late } => self.ended(number, is_completed, is_late),
        };
        let recorded = self.ground.store.record_poll(ORG, poll.lease, &polled, &TERMS).await;
        recorded.unwrap();
        true
    }

    fn ended(&mut self, number: usize, is_completed: bool, is_late: bool) -> polled::Polled {
        let lag = if is_late { TERMS.resubmit_after.mul_f32(0.9) } else { Duration::ZERO };
        if !self.truth.jobs[number].is_ended {
            self.truth.stop_within(number, lag);
            self.truth.jobs[number].is_ended = true;
        }
        self.truth.settle();
        let state = if is_completed { "completed" } else { "failed" };
        polled::Polled::Ended { is_completed, state: state.to_owned(), records_processed: None }
    }
}
