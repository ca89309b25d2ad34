//! The checks at the end, from outside: over the API, at the simulated Genesys and at the receiver.

use std::collections::{BTreeMap, BTreeSet};

use genesys_purge::sandbox::{Breach, ConversationTruth, Kind, Rule};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::callers::{Callers, Ledger, Promise, Sent};
use super::schedule::Verb;
use super::stage::Stage;
use crate::support::books::{assert_books_of, count};

const FINAL: [&str; 3] = ["completed", "failed", "canceled"];

/// A purge as it ended.
pub struct Told {
    sent: Sent,
    body: Value,
    rows: Vec<Row>,
}

struct Row {
    id: Uuid,
    outcome: String,
    code: String,
}

type Truths = BTreeMap<Uuid, ConversationTruth>;

/// Holds everything against everything; tells how often each outcome came.
pub async fn judge(callers: &Callers) -> BTreeMap<String, usize> {
    let stage = &callers.stage;
    let mut told = Vec::new();
    let purges = callers.ledger.lock().unwrap().purges.clone();
    for sent in purges.into_values() {
        told.push(read(callers, sent).await);
    }
    let upstream = stage.sandbox.sandbox();
    let truths: Truths = upstream.ids().map(|id| (id, upstream.conversation(id).unwrap())).collect();
    {
        let ledger = callers.ledger.lock().unwrap();
        for told in &told {
            assert_counts(told);
            assert_outcomes(told, &truths, &ledger);
            assert_told(told, stage);
        }
        assert_deletions(&told, &truths);
        assert_promises(&truths, &ledger);
        assert_no_breach(stage, &ledger);
    }
    stage.replicas.assert_no_panic();
    stage.replicas.assert_alive().await;
    let connection = &mut stage.database.connect().await;
    assert_books_of(connection, true).await;
    assert_eq!(count(connection, "select count(*) from rewinds").await, 0, "a restart is no rewind");
    let delivered: BTreeSet<String> = stage.receiver.hooks().into_iter().map(|hook| hook.id).collect();
    let owed = count(connection, "select count(*) from deliveries").await;
    assert_eq!(i64::try_from(delivered.len()).unwrap(), owed, "every delivery arrived");
    let mut outcomes = BTreeMap::new();
    for row in told.iter().flat_map(|told| &told.rows) {
        *outcomes.entry(format!("{} {}", row.outcome, row.code)).or_default() += 1;
    }
    outcomes
}

async fn read(callers: &Callers, sent: Sent) -> Told {
    let path = format!("/purges/{}", sent.id);
    let body = callers.get(&path).await;
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = callers.get(&format!("{path}/conversations?limit=1000{cursor}")).await;
        for row in page["items"].as_array().unwrap() {
            let word = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            let id = word("conversationId").parse().unwrap();
            rows.push(Row { id, outcome: word("outcome"), code: word("code") });
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Told { sent, body, rows },
        }
    }
}

/// Every conversation has its one outcome, in the order in which they were sent; counts and state follow from them.
fn assert_counts(told: &Told) {
    let Told { sent, body, rows } = told;
    assert!(FINAL.contains(&body["state"].as_str().unwrap()), "{body}");
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, sent.ids, "{body}");
    let mut counted = BTreeMap::<&str, u64>::new();
    for row in rows {
        *counted.entry(&row.outcome).or_default() += 1;
    }
    for (outcome, number) in body["counts"].as_object().unwrap() {
        let expected = match outcome.as_str() {
            "total" => rows.len() as u64,
            "duplicates" => 0,
            outcome => counted.remove(outcome).unwrap_or_default(),
        };
        assert_eq!(number.as_u64(), Some(expected), "{outcome}: {body}");
    }
    assert!(counted.is_empty(), "outcomes that are not counted: {counted:?}");
    let has_failed = body["counts"]["failed"].as_u64().unwrap() > 0;
    let is_lawful = match body["state"].as_str().unwrap() {
        "completed" => !has_failed && body["counts"]["canceled"] == 0,
        "failed" => has_failed,
        _ => true,
    };
    assert!(is_lawful, "{body}");
}

/// Each outcome is one that this conversation can end with.
fn assert_outcomes(told: &Told, truths: &Truths, ledger: &Ledger) {
    let is_canceled = told.body["state"] == "canceled";
    for row in &told.rows {
        let truth = &truths[&row.id];
        let was_protected = ledger.ever_held.contains(&row.id);
        let was_eligible = match truth.kind {
            Kind::Eligible | Kind::ConflictNamed | Kind::ConflictUnnamed => true,
            Kind::Held => ledger.protected_upstream.contains(&row.id),
            _ => false,
        };
        let is_lawful = match row.outcome.as_str() {
            "purged" => truth.kind == Kind::Eligible && truth.deleted_at.is_some() && !told.sent.is_dry_run,
            "already_purged" => truth.kind == Kind::Deleted || truth.deleted_at.is_some(),
            "on_hold" => was_protected || truth.expected_outcome.name() == "on_hold",
            "would_purge" => was_eligible && told.sent.is_dry_run,
            "failed" => {
                was_eligible
                    && !told.sent.is_dry_run
                    && told.body["state"] != "completed"
                    && !row.code.is_empty()
            }
            "canceled" => is_canceled,
            outcome => outcome == truth.expected_outcome.name(),
        };
        assert!(is_lawful, "{} {}: {truth:?} in {}", row.outcome, row.code, told.body);
    }
}

/// What is gone was purged by one of our purges, what was protected was never carried, and nobody claims what is not so.
fn assert_deletions(told: &[Told], truths: &Truths) {
    let mut outcomes = BTreeMap::<Uuid, Vec<(&str, &str)>>::new();
    for row in told.iter().filter(|told| !told.sent.is_dry_run).flat_map(|told| &told.rows) {
        outcomes.entry(row.id).or_default().push((&row.outcome, &row.code));
    }
    for (id, truth) in truths {
        let told = outcomes.get(id).map(Vec::as_slice).unwrap_or_default();
        let purged = told.iter().filter(|(outcome, _)| *outcome == "purged");
        let is_purged = purged.clone().count() > 0;
        assert_eq!(is_purged, truth.deleted_at.is_some(), "{told:?} {truth:?}");
        let at_first_hand = purged.filter(|(_, code)| *code != "seen_gone_later").count();
        assert!(at_first_hand <= 1, "one job deleted it: {told:?} {truth:?}");
        let deleting = truth.jobs.iter().filter(|job| job.deletes).count();
        assert!(deleting <= 1, "no job comes after the one that deletes: {truth:?}");
        match truth.kind {
            Kind::Eligible => {}
            // It may have been eligible, and in a job that left it where it was.
            Kind::Held => assert_eq!(deleting, 0, "{truth:?}"),
            _ => assert!(truth.jobs.is_empty(), "{truth:?}"),
        }
    }
}

/// No job that a promise forbids was ever made.
fn assert_promises(truths: &Truths, ledger: &Ledger) {
    let mut named = BTreeMap::<Uuid, Vec<usize>>::new();
    for (number, sent) in ledger.purges.iter().filter(|(_, sent)| !sent.is_dry_run) {
        for id in &sent.ids {
            named.entry(*id).or_default().push(*number);
        }
    }
    for (_, promise) in ledger.holds.values() {
        let ids = promise.ids.iter().flatten();
        assert_kept(promise, promise.ended_at, ids, truths);
        assert_in_time(promise, truths);
    }
    for (number, promise) in &ledger.stops {
        assert_kept(promise, ledger.lifted.get(number).copied(), truths.keys(), truths);
    }
    for (verb, number, promise) in &ledger.steered {
        let went_on = ledger.went_on.iter().filter(|(purge, _)| purge == number).map(|(_, at)| *at).min();
        let until = went_on.filter(|_| *verb == Verb::Pause);
        // What other purges name may go with them.
        let alone =
            promise.ids.iter().flatten().filter(|id| named.get(id).is_some_and(|by| *by == [*number]));
        assert_kept(promise, until, alone, truths);
    }
}

fn assert_kept<'a>(
    promise: &Promise,
    until: Option<Timestamp>,
    ids: impl Iterator<Item = &'a Uuid>,
    truths: &Truths,
) {
    for truth in ids.map(|id| &truths[id]) {
        for job in &truth.jobs {
            let is_within =
                job.submitted_at > promise.quiet_at && until.is_none_or(|until| job.submitted_at < until);
            let Promise { what, answered_at, quiet_at, .. } = promise;
            assert!(
                !is_within,
                "{what}, answered at {answered_at}, quiet at {quiet_at}, ended at {until:?}: {truth:?}"
            );
        }
    }
}

/// What is submitted or deleted after a hold was answered stands in what it came too late for.
fn assert_in_time(promise: &Promise, truths: &Truths) {
    let Promise { ids, answered_at, too_late, ended_at, .. } = promise;
    let is_within = |at: Timestamp| at > *answered_at && ended_at.is_none_or(|until| at < until);
    for truth in ids.iter().flatten().map(|id| &truths[id]) {
        let is_late = truth.deleted_at.is_some_and(is_within)
            || truth.jobs.iter().any(|job| is_within(job.submitted_at));
        assert!(!is_late || too_late.contains(&truth.conversation_id), "{promise:?}: {truth:?}");
    }
}

/// No rule of upstream was broken, but for what nobody could know: a 429 that a dying process took with it, and a hold at
/// Genesys whose first answer was lost.
fn assert_no_breach(stage: &Stage, ledger: &Ledger) {
    let is_excused = |breach: &Breach| match breach.rule {
        Rule::CallBeforeRetryAfter => {
            stage.may_be_forgotten(breach.evidence["toldAt"].as_str().unwrap().parse().unwrap())
        }
        Rule::ProtectedIdSubmitted => {
            let ids: Vec<Uuid> = serde_json::from_value(breach.evidence["ids"].clone()).unwrap();
            ids.iter().all(|id| ledger.protected_upstream.contains(id))
                && breach.evidence["count"] == ids.len()
        }
        _ => false,
    };
    let breaches = stage.sandbox.sandbox().breaches();
    let (excused, breaches): (Vec<Breach>, Vec<Breach>) = breaches.into_iter().partition(is_excused);
    assert!(breaches.is_empty(), "{breaches:#?}");
    super::tell(&format!("{} breaches of what nobody could know", excused.len()));
}

/// The end of each run was told, signed, and the last as it stands.
fn assert_told(told: &Told, stage: &Stage) {
    let hooks = stage.receiver.hooks();
    let id = told.sent.id.to_string();
    for run in 1..=told.body["run"].as_u64().unwrap() {
        let mut ends = hooks
            .iter()
            .filter(|hook| hook.body["purgeId"] == *id && hook.body["run"] == run)
            .filter(|hook| FINAL.iter().any(|state| hook.event() == format!("purge_{state}")));
        let end = ends.next().unwrap_or_else(|| panic!("run {run} was not told: {}", told.body));
        assert!(end.is_verified && ends.all(|again| again.text == end.text), "{end:?}");
        if told.body["run"] == run {
            let expected = format!("purge_{}", told.body["state"].as_str().unwrap());
            assert_eq!((end.event(), &end.body["counts"]), (expected.as_str(), &told.body["counts"]));
        }
    }
}
