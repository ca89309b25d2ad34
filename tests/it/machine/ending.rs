//! The end of a walk: everything runs to its end, and the reports of the service are compared with the truth.

use std::collections::BTreeSet;
use std::time::Duration;

use genesys_purge::domain::act::Act;
use genesys_purge::domain::outcome::Outcome;
use uuid::Uuid;

use super::steps::{Polled, Reply};
use super::truth::Kind;
use super::walk::{Named, Tally, Walk};
use crate::support::books::assert_books_of;

/// Nothing takes so many turns.
const TURNS: u64 = 500;

impl Walk<'_> {
    /// Lets everything run out, and judges.
    pub async fn end(mut self) -> Tally {
        // Whoever had something in hand is dead.
        self.questions.clear();
        self.looks.clear();
        self.intents.clear();
        self.go_on().await;
        for number in 0..self.purges.len() {
            let id = self.purges[number].id;
            if self.seen.purges[&id].state == "paused" {
                self.steer(number, Act::Resume).await;
            }
        }
        self.check("the beginning of the end").await;
        self.run_out().await;
        // Nothing more is deleted from here on.
        self.truth.pass(Duration::from_hours(24));
        self.judge().await;
        if !self.purges.is_empty() {
            assert_books_of(&mut self.ground.connection, true).await;
        }
        self.tally.deleted = self.truth.deleted.len();
        self.tally
    }

    async fn run_out(&mut self) {
        let reply = Reply::Yes { deletes: u8::MAX };
        let polled = Polled::Ended { is_completed: true, is_late: false };
        let (mut turns, mut quiet) = (0, 0);
        // What became due while the first quiet turn went on is found by the second.
        while quiet < 2 {
            turns += 1;
            assert!(turns < TURNS, "it goes on for ever: {:?}", self.seen);
            let has_moved = self.turn(reply, polled).await | self.expire().await;
            self.check("expire").await;
            let next = self.until_next_due().await;
            quiet = if has_moved || next.is_some() { 0 } else { quiet + 1 };
            if let Some(time) = next.filter(|_| !has_moved) {
                // Ever more of it, since deletions may have taken hours to show, and so long is looked again.
                self.move_on(time.max(Duration::from_secs(turns))).await;
            }
        }
        for (id, purge) in &self.seen.purges {
            let is_final = ["completed", "failed", "canceled"].contains(&purge.state.as_str());
            assert!(is_final, "nothing is due any more, and purge {id} has not ended: {purge:?}");
        }
    }

    async fn judge(&mut self) {
        let told = self.decided("gone_late").await;
        self.tally.gone_late = told.len();
        for suspicion in &self.suspicions {
            let deleted = self.truth.deleted.get(&suspicion.id);
            let is_lie = deleted.is_some_and(|job| suspicion.jobs.contains(job));
            let is_told = told.contains(&(suspicion.purge, suspicion.id));
            assert!(!is_lie || is_told, "{}, and was deleted by one of {:?}", suspicion.what, suspicion.jobs);
        }
        for (purge, id) in &told {
            assert_eq!(self.truth.kinds[id], Kind::Gone, "{id} of {purge} is told to be gone after all");
        }
        for (purge, id) in self.decided("timed_out").await {
            let seen = &self.seen.purges[&purge];
            let at = seen.ids.iter().position(|one| *one == id).unwrap();
            let is_failed = seen.cells[at].outcome == Outcome::Failed;
            let is_ours = self.was_named_by(purge, id, self.truth.deleted.get(&id).copied());
            let is_told = told.contains(&(purge, id)) || self.untold.contains(&id);
            assert!(
                !is_failed || !is_ours || is_told,
                "nobody was told that {id} of {purge} is gone after all"
            );
        }
        for (purge, seen) in &self.seen.purges {
            for (id, cell) in seen.ids.iter().zip(&seen.cells) {
                self.judge_one(*purge, *id, cell.outcome);
            }
        }
    }

    /// What was decided for this reason in the last run of each purge, or in any where it is told beside the outcome.
    async fn decided(&mut self, code: &str) -> BTreeSet<(Uuid, Uuid)> {
        let decided: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "select d.purge_id, s.ids[at + 1]
             from decisions d
             join slices s using (purge_id, slice_no)
             join purges p on p.id = d.purge_id and (p.run = d.run or d.from_outcome = d.to_outcome)
             cross join unnest(d.positions) as at
             where d.code = $1",
        )
        .bind(code)
        .fetch_all(&mut self.ground.connection)
        .await
        .unwrap();
        decided.into_iter().collect()
    }

    fn was_named_by(&self, purge: Uuid, id: Uuid, job: Option<Uuid>) -> bool {
        let is_it = |named: &Named| (named.purge, named.id) == (purge, id) && Some(named.job) == job;
        self.named.iter().any(is_it)
    }

    fn judge_one(&self, purge: Uuid, id: Uuid, outcome: Outcome) {
        let kind = self.truth.kinds[&id];
        let was_named = self.named.iter().any(|named| (named.purge, named.id) == (purge, id));
        let is_true = match outcome {
            Outcome::Purged => kind == Kind::Gone && was_named,
            Outcome::AlreadyPurged => kind == Kind::Gone,
            Outcome::NotFound => matches!(kind, Kind::Gone | Kind::Unknown),
            Outcome::Retained => kind == Kind::Young,
            Outcome::Active => kind == Kind::Active,
            Outcome::WouldPurge => self.purge(purge).is_dry_run,
            Outcome::OnHold | Outcome::Failed | Outcome::Canceled => true,
            Outcome::Pending | Outcome::Eligible | Outcome::Submitted => false,
        };
        assert!(is_true, "{id} of {purge} is {outcome}; it is {kind:?}, and was named: {was_named}");
    }
}
