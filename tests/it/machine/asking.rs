//! Questions before a submit, and looks after it: claimed in one step, when upstream is asked, and recorded in another.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use genesys_purge::domain::facts::Facts;
use genesys_purge::domain::reason::Reason;
use genesys_purge::store::StoreError;
use genesys_purge::store::jobs::looks::{LookKind, Unanswered};
use genesys_purge::store::slices::claim::{Claim, Reach};
use genesys_purge::store::slices::validated::{Again, Answers};
use uuid::Uuid;

use super::ground::{ORG, TERMS};
use super::steps::Told;
use super::time::own_time;
use super::walk::{Asked, Walk, chosen};

impl Walk<'_> {
    /// Claims the next question; tells whether there was one.
    pub async fn ask(&mut self, is_first: bool) -> bool {
        let reach = if is_first { Reach::FirstAndDryRuns } else { Reach::ForSlots };
        let at = self.truth.now();
        let claim = self.ground.store.claim_slices(&self.org, reach, TERMS.lease, false).await.unwrap();
        let Claim::Claimed(question, _) = claim else { return false };
        assert!(!self.is_stopped, "a question is claimed for an org that is stopped");
        for asked in &question.slices {
            let purge = self.purge(asked.slice.purge);
            assert!(!purge.is_paused && !purge.is_canceled, "a question is claimed for {purge:?}");
        }
        let facts = self.observe(&question.ids());
        self.questions.push(Asked { what: question, at, facts });
        true
    }

    /// Upstream is asked: it says what is true at this moment.
    fn observe(&mut self, ids: &[Uuid]) -> Vec<(Uuid, Option<Facts>)> {
        self.truth.settle();
        let now = own_time();
        ids.iter().map(|&id| (id, self.truth.facts(id, now))).collect()
    }

    /// Records what was told; tells whether that changed anything.
    pub async fn answer(&mut self, question: u8, told: Told) -> bool {
        let Some(number) = chosen(question, self.questions.len()) else { return false };
        let Asked { what: question, at, facts } = self.questions.remove(number);
        let Some(answers) = self.answers(&facts, told) else { return false };
        // Who has lost the lease of a slice changes nothing of it.
        let mut counted = Vec::new();
        for asked in &question.slices {
            if self.is_leased(asked.slice.purge, asked.epoch).await {
                counted.extend(asked.conversations.iter().map(|(_, id)| *id));
            }
        }
        let again = Again { wait: Duration::from_secs(5), is_fruitless: false };
        let recorded =
            self.ground.store.record_answers(ORG, &question, &answers, own_time(), &TERMS, again).await;
        recorded.unwrap().unwrap();
        let facts: Vec<_> = facts.into_iter().filter(|(id, _)| counted.contains(id)).collect();
        self.learn(at, &facts, &answers);
        !counted.is_empty()
    }

    /// The slice is still leased to who asked.
    async fn is_leased(&mut self, purge: Uuid, epoch: i64) -> bool {
        sqlx::query_scalar("select exists (select from slices where purge_id = $1 and epoch = $2)")
            .bind(purge)
            .bind(epoch)
            .fetch_one(&mut self.ground.connection)
            .await
            .unwrap()
    }

    fn learn(&mut self, at: Duration, facts: &[(Uuid, Option<Facts>)], answers: &Answers) {
        for (id, _) in facts.iter().filter(|(id, _)| answers.told.contains(id)) {
            self.truth.learn(at, *id, answers.facts.get(id));
        }
    }

    /// What of the truth is told; `None` where nobody is left to record it.
    fn answers(&mut self, facts: &[(Uuid, Option<Facts>)], told: Told) -> Option<Answers> {
        let (mut refused, mut hidden) = (HashMap::new(), HashSet::new());
        let is_told: HashSet<Uuid> = match told {
            Told::Never => return None,
            Told::Whole => facts.iter().map(|(id, _)| *id).collect(),
            Told::Hiding(bits) => {
                let asked = facts.iter().map(|(id, _)| *id).filter(|id| self.truth.chosen(bits).contains(id));
                hidden = asked.filter(|id| !self.truth.hidden.contains(id)).collect();
                self.truth.hidden.extend(&hidden);
                facts.iter().map(|(id, _)| *id).collect()
            }
            Told::Nothing => HashSet::new(),
            Told::Partly(bits) => self.truth.chosen(bits).into_iter().collect(),
            Told::Refused => {
                let reason = Reason::upstream(Some("bad.request"), "not this one");
                refused.extend(facts.first().map(|(id, _)| (*id, reason)));
                facts.iter().skip(1).map(|(id, _)| *id).collect()
            }
        };
        let told = facts.iter().map(|(id, _)| *id).filter(|id| is_told.contains(id)).collect();
        let failed: HashSet<Uuid> = facts
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| !is_told.contains(id) && !refused.contains_key(id))
            .collect();
        let facts = facts.iter().filter(|(id, _)| is_told.contains(id) && !hidden.contains(id));
        Some(Answers {
            facts: facts.filter_map(|(id, facts)| Some((*id, facts.clone()?))).collect(),
            refused,
            told,
            alone: if failed.len() == 1 { failed.clone() } else { HashSet::new() },
            failed,
            upstream_time: None,
        })
    }

    /// Claims the next looks; tells whether there was one.
    pub async fn look(&mut self) -> bool {
        let at = self.truth.now();
        let claim = self.ground.store.claim_looks(&self.org, TERMS.lease).await.unwrap();
        let Claim::Claimed(looks, _) = claim else { return false };
        for look in looks {
            let facts = self.observe(&look.ids);
            self.looks.push(Asked { what: look, at, facts });
        }
        true
    }

    /// Records what a look was told; tells whether that changed anything.
    pub async fn see(&mut self, look: u8, told: Told) -> bool {
        let Some(number) = chosen(look, self.looks.len()) else { return false };
        let Asked { what: look, at, facts } = self.looks.remove(number);
        let Some(answers) = self.answers(&facts, told) else { return false };
        if look.kind == LookKind::Late {
            self.untold.extend(look.ids.iter().filter(|id| !answers.told.contains(id)));
        }
        let is_whole = answers.failed.is_empty();
        let unanswered =
            (!is_whole).then(|| Unanswered { again: Duration::from_secs(5), error: None, is_held_up: false });
        let recorded =
            self.ground.store.record_look(ORG, &look, &answers, unanswered, own_time(), &TERMS).await;
        match recorded {
            Ok(recorded) => recorded.unwrap(),
            Err(StoreError::LeaseLost { .. }) => return false,
            Err(error) => panic!("{look:?}: {error}"),
        }
        self.learn(at, &facts, &answers);
        true
    }
}
