//! What callers and operators do, and what Genesys does by itself.

use std::time::Duration;

use genesys_purge::domain::act::Act;
use genesys_purge::domain::keys::Reach;
use genesys_purge::intake::Spooled;
use genesys_purge::store::holds::create::{Held, NewHold};
use genesys_purge::store::purges::accept::{Accepted, NewPurge};
use genesys_purge::store::purges::steer::Steered;
use serde_json::json;
use uuid::Uuid;

use super::ground::ORG;
use super::truth::{Hold, Kind};
use super::walk::{Purge, Walk, chosen};

/// So many purges at most.
const PURGES: usize = 4;

/// Which states allow an act, told once more.
const ALLOWED: &[(Act, &[&str])] = &[
    (Act::Cancel, &["queued", "running", "paused", "canceling"]),
    (Act::Pause, &["queued", "running"]),
    (Act::Resume, &["paused"]),
    (Act::Retry, &["failed"]),
];

impl Walk<'_> {
    pub fn purge(&self, id: Uuid) -> &Purge {
        self.purges.iter().find(|purge| purge.id == id).unwrap()
    }

    pub async fn accept(&mut self, ids: u8, is_dry_run: bool) {
        let ids: Vec<Uuid> = self.truth.chosen(ids).into_iter().collect();
        if ids.is_empty() || self.purges.len() == PURGES {
            return;
        }
        let new = NewPurge {
            org: ORG.to_owned(),
            reason: None,
            reference: None,
            labels: json!({}),
            is_dry_run,
            webhook: None,
            key_id: self.ground.by.key_id,
            requested_by: "walker".to_owned(),
            request_id: "walk".to_owned(),
            traceparent: None,
        };
        let spooled = Spooled::from_list(ids);
        let accepted = self.ground.store.accept_purge(&new, &spooled, None, Duration::from_secs(30)).await;
        let Accepted::New(accepted) = accepted.unwrap() else { panic!("nobody asked for it before") };
        self.purges.push(Purge { id: accepted.id, is_dry_run, is_paused: false, is_canceled: false });
    }

    pub async fn act(&mut self, purge: u8, act: Act) {
        let Some(number) = chosen(purge, self.purges.len()) else { return };
        self.steer(number, act).await;
    }

    pub async fn steer(&mut self, number: usize, act: Act) {
        let id = self.purges[number].id;
        let state = self.seen.purges.get(&id).map_or("queued", |purge| purge.state.as_str());
        let is_allowed = ALLOWED.iter().any(|(one, states)| *one == act && states.contains(&state));
        let steered = self.ground.store.steer_purge(&Reach::all(), id, act, self.ground.by).await;
        let is_done = matches!(steered.unwrap().unwrap(), Steered::Done { .. });
        assert_eq!(is_done, is_allowed, "{act} of a purge that is {state}");
        if !is_done {
            return;
        }
        if matches!(act, Act::Cancel | Act::Pause) {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from jobs j join job_parts on job_id = j.id where state = 'waiting' and purge_id = $1",
            )
            .bind(id)
            .fetch_one(&mut self.ground.connection)
            .await
            .unwrap();
            assert_eq!(waiting, 0, "after {act} a waiting job carries something of the purge");
        }
        let purge = &mut self.purges[number];
        match act {
            Act::Cancel => purge.is_canceled = true,
            Act::Pause => purge.is_paused = true,
            // What is retried may have been paused when its last conversation settled.
            Act::Resume | Act::Retry => purge.is_paused = false,
        }
    }

    pub async fn hold(&mut self, ids: u8) {
        let ids = self.truth.chosen(ids);
        if ids.is_empty() {
            return;
        }
        let new = NewHold {
            matter: "a walk".to_owned(),
            conversation_ids: ids.iter().copied().collect(),
            orgs: vec![ORG.to_owned()],
            reason: None,
            external_id: None,
            key_id: self.ground.by.key_id,
            created_by: "walker".to_owned(),
            request_id: "walk".to_owned(),
        };
        let Held::New(held) = self.ground.store.create_hold(&new).await.unwrap() else { panic!("it is new") };
        self.truth.settle();
        let too_late = held.too_late.into_iter().collect();
        self.truth.holds.push(Hold { id: held.hold.id, ids, too_late });
        let hold = self.truth.holds.last().unwrap();
        for id in &hold.ids {
            let live = self.truth.may_delete(*id);
            assert!(
                live.is_none() || hold.too_late.contains(id),
                "{hold:?} does not tell that {live:?} runs"
            );
        }
    }

    pub async fn release(&mut self, hold: u8) {
        let Some(number) = chosen(hold, self.truth.holds.len()) else { return };
        let hold = self.truth.holds.remove(number);
        self.ground.store.release_hold(&Reach::all(), hold.id, self.ground.by).await.unwrap().unwrap();
    }

    pub async fn stop(&mut self) {
        self.ground.store.stop_org(&Reach::all(), ORG, self.ground.by).await.unwrap().unwrap();
        self.is_stopped = true;
    }

    pub async fn go_on(&mut self) {
        self.ground.store.resume_org(&Reach::all(), ORG, self.ground.by).await.unwrap();
        self.is_stopped = false;
    }

    pub fn protect(&mut self, id: u8, is_held: bool) {
        let id = self.truth.ids[usize::from(id) % self.truth.ids.len()];
        let (from, to) = if is_held { (Kind::Present, Kind::Held) } else { (Kind::Held, Kind::Present) };
        if self.truth.kinds[&id] == from {
            self.truth.kinds.insert(id, to);
        }
    }

    pub fn delete(&mut self, job: u8, id: u8) {
        self.truth.settle();
        let live: Vec<usize> =
            (0..self.truth.jobs.len()).filter(|&job| !self.truth.jobs[job].deletes.is_empty()).collect();
        let Some(number) = chosen(job, live.len()).map(|number| live[number]) else { return };
        let ids: Vec<Uuid> = self.truth.jobs[number].deletes.iter().copied().collect();
        let Some(id) = chosen(id, ids.len()).map(|number| ids[number]) else { return };
        self.truth.delete(number, id);
    }

    /// Tells whether there was anything to sweep.
    pub async fn sweep(&mut self) -> bool {
        let swept = self.ground.store.sweep(ORG, &[]).await.unwrap();
        assert!(swept.failed.is_empty(), "{:?}", swept.failed);
        swept.has_swept
    }
}
