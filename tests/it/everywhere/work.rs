//! Its work: purges that overlap, one by upload, a dry run; a hold that stays and one that is released; a pause, a
//! cancel, a stop. What had no answer is asked again of the next process, by the same names.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use genesys_purge::app::engine_terms;
use genesys_purge::upkeep::leases;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::KIND;
use super::points::Point;
use super::process::Mortal;
use crate::support::TestService;
use crate::support::service::read;

/// So long that only who has died answers later.
const PATIENCE: Duration = Duration::from_secs(40);

/// Conversations of a round.
const TAKEN: usize = 40;

/// Some points are reached only where two purges meet in time, which no order of requests makes sure of: so often they may.
const MEETINGS: usize = 4;

/// Something that is wanted until it is answered.
#[derive(Debug, Clone)]
enum Wish {
    /// A purge under this name.
    Purge(String, Value),
    /// The same by upload.
    Upload(String, Vec<Uuid>),
    /// A hold of this name.
    Hold(String, Uuid),
    Release(String),
    Act(String, &'static str),
    Org(&'static str),
}

pub struct Work {
    test: TestService,
    wishes: VecDeque<Wish>,
    /// The ids of purges and holds, by their names.
    made: BTreeMap<String, Uuid>,
    ids: Vec<Uuid>,
    rounds: usize,
    /// What nobody may delete.
    held: Vec<Uuid>,
}

impl Work {
    pub async fn begin(mut test: TestService) -> Self {
        test.stop_service().await;
        let ids = test.ids_of(KIND);
        Self { test, wishes: VecDeque::new(), made: BTreeMap::new(), ids, rounds: 0, held: Vec::new() }
    }

    /// Has a process die there, with work of every kind at hand.
    pub async fn die_at(&mut self, point: Point) {
        self.end_leases().await;
        if let Some(fault) = point.fault() {
            self.test.fault(fault);
        }
        let mut mortal = Mortal::start(&self.test, Some(&point.name())).await;
        if let Some(url) = &mortal.url {
            self.test.url.clone_from(url);
        }
        for _ in 0..MEETINGS {
            if mortal.url.is_some() {
                self.want_more();
                self.ask().await;
                // What is blocked is tried again.
                self.test.probe_now().await;
            }
            if let Some(status) = mortal.death().await {
                assert!(Mortal::is_abort(status), "{}: {status}", point.name());
                return;
            }
        }
        panic!("{} was never reached", point.name());
    }

    /// A last process does what is left.
    pub async fn end(mut self) -> TestService {
        self.end_leases().await;
        let mortal = Mortal::start(&self.test, None).await;
        self.test.url = mortal.url.clone().unwrap();
        self.wishes.push_back(Wish::Org("resume"));
        let names: Vec<String> = self.made.keys().filter(|name| !name.starts_with("hold")).cloned().collect();
        self.wishes.extend(names.into_iter().map(|name| Wish::Act(name, "resume")));
        self.ask().await;
        assert!(self.wishes.is_empty(), "{:?}", self.wishes);
        for &purge in self.made.iter().filter(|(name, _)| !name.starts_with("hold")).map(|(_, id)| id) {
            self.test.finished(purge).await;
        }
        let purged = "select count(*) from findings where gone_at is not null";
        let deleted = self.test.sandbox.sandbox().truth().deleted;
        assert_eq!(
            self.test.number(purged).await,
            i64::try_from(deleted).unwrap(),
            "what is gone is known to be"
        );
        for id in &self.held {
            let conversation = self.test.sandbox.sandbox().conversation(*id).unwrap();
            assert!(
                conversation.jobs.is_empty(),
                "{id} was held before anybody asked for it: {conversation:?}"
            );
        }
        drop(mortal);
        self.test
    }

    fn want_more(&mut self) {
        let (round, ids) = (self.rounds, &self.ids[self.rounds * TAKEN..][..TAKEN]);
        let name = |what: &str| format!("{what}-{round}");
        let purge = |what: &str, ids: &[Uuid], is_dry_run: bool| {
            Wish::Purge(name(what), json!({ "conversationIds": ids, "dryRun": is_dry_run }))
        };
        self.wishes.extend([
            // Whoever died may have left it stopped.
            Wish::Org("resume"),
            Wish::Hold(name("hold-stays"), ids[38]),
            Wish::Hold(name("hold-goes"), ids[39]),
            purge("one", &ids[..6], false),
            purge("other", &ids[3..9], false),
            Wish::Upload(name("large"), ids[6..].to_vec()),
            purge("dry", &ids[..2], true),
            Wish::Act(name("one"), "pause"),
            Wish::Act(name("one"), "resume"),
            Wish::Act(name("other"), "cancel"),
            Wish::Release(name("hold-goes")),
            Wish::Org("stop"),
            Wish::Org("resume"),
        ]);
        self.held.push(ids[38]);
        self.rounds += 1;
    }

    /// Asks for what is wanted, in order, until somebody does not answer any more.
    async fn ask(&mut self) {
        while let Some(wish) = self.wishes.front().cloned() {
            let Some((status, body)) = self.send(&wish).await else { return };
            match (&wish, status) {
                (Wish::Purge(name, _) | Wish::Upload(name, _) | Wish::Hold(name, _), _)
                    if status.is_success() =>
                {
                    self.made.insert(name.clone(), body["id"].as_str().unwrap().parse().unwrap());
                }
                (Wish::Act(..) | Wish::Release(_), StatusCode::CONFLICT) => {}
                _ if status.is_success() => {}
                (_, StatusCode::SERVICE_UNAVAILABLE) => return,
                _ => panic!("{wish:?}: {status} {body}"),
            }
            self.wishes.pop_front();
        }
    }

    async fn send(&self, wish: &Wish) -> Option<(StatusCode, Value)> {
        let id = |name: &str| self.made[name];
        let post = |path: String| self.test.request(Method::POST, &path);
        let request: RequestBuilder = match wish {
            Wish::Purge(name, body) => post("/purges".to_owned()).header("idempotency-key", name).json(body),
            Wish::Upload(name, ids) => {
                let lines: Vec<String> = ids.iter().map(Uuid::to_string).collect();
                self.test.upload("text/csv", "", lines.join("\n")).header("idempotency-key", name)
            }
            Wish::Hold(name, held) => post("/holds".to_owned())
                .json(&json!({ "matter": "M", "externalId": name, "conversationIds": [held] })),
            Wish::Release(name) => post(format!("/holds/{}/release", id(name))),
            Wish::Act(name, act) => post(format!("/purges/{}/{act}", id(name))),
            Wish::Org(act) => post(format!("/orgs/default/{act}")),
        };
        let response = request.timeout(PATIENCE).send().await.ok()?;
        if response.content_length().is_none() { None } else { Some(read(response).await) }
    }

    /// Ends the leases of the dead at once, as their time would, and has them taken up.
    async fn end_leases(&self) {
        self.test.sql("update jobs set lease_until = clock_timestamp() where lease_until is not null").await;
        self.test
            .sql("update slices set lease_until = clock_timestamp() where lease_until is not null")
            .await;
        let store = self.test.store().await;
        leases::expire(&store, "default", &engine_terms(&self.test.settings)).await.unwrap();
        store.close().await;
    }
}
