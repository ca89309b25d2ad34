//! The same conversations in many purges at once: in one job at a time, purged once, and no purge waits for ever.

use std::collections::{BTreeMap, BTreeSet};

use genesys_purge::app::Role;
use genesys_purge::sandbox::{Call, DeletedLooks, Kind};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::support::books::{all_final, assert_books, count, eventually};
use crate::support::{Setup, TestService, storm};

/// How often each outcome came, over all conversations of these purges, by conversation.
async fn outcomes(test: &TestService, purges: &[Uuid]) -> BTreeMap<Uuid, Vec<(String, String)>> {
    let mut outcomes = BTreeMap::<Uuid, Vec<(String, String)>>::new();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    for &purge in purges {
        for row in test.conversations(purge).await {
            let id = row["conversationId"].as_str().unwrap().parse().unwrap();
            outcomes.entry(id).or_default().push((word(&row["outcome"]), word(&row["code"])));
        }
    }
    outcomes
}

async fn waiters(test: &TestService) -> i64 {
    count(&mut test.database.connect().await, "select count(*) from waiters").await
}

#[tokio::test]
async fn ids_that_a_live_job_carries_wait_for_it_and_are_found_purged() {
    let test = Setup::new().sandbox(|org| org.job_duration.base_ms = 1500).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let first = test.purge(&ids[..4]).await;
    eventually("upstream has the first job", async || test.calls(Call::Submit, "200") == 1).await;
    // The same ids in capitals, and two more, which need not wait.
    let shouted: Vec<String> = ids[..6].iter().map(|id| id.to_string().to_uppercase()).collect();
    let second = test.purge_with(json!({ "conversationIds": shouted })).await;
    eventually("four conversations wait", async || waiters(&test).await == 4).await;
    eventually("the other two went ahead", async || test.calls(Call::Submit, "200") == 2).await;
    assert_eq!(test.get(&format!("/purges/{first}")).await["state"], "running");

    assert_eq!(test.finished(first).await["counts"]["purged"], 4);
    let body = test.finished(second).await;
    assert_eq!(
        (&body["counts"]["already_purged"], &body["counts"]["purged"]),
        (&json!(4), &json!(2)),
        "{body}"
    );
    assert_eq!(test.calls(Call::Submit, "200"), 2, "nothing was submitted twice");
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn two_purges_that_are_packed_together_share_an_id_in_one_job_once() {
    let mut test = Setup::new().role(Role::Api).start().await;
    let ids = &test.ids_of(Kind::Eligible)[..5];
    let purges = [test.purge(&ids[..3]).await, test.purge(&ids[1..]).await, test.purge(ids).await];
    test.stop_service().await;
    test.start_service().await;
    all_final(&test).await;
    for (id, told) in outcomes(&test, &purges).await {
        let gone = told.iter().filter(|(outcome, _)| outcome == "purged").count();
        let found = told.iter().filter(|(outcome, _)| outcome == "already_purged").count();
        assert_eq!((gone, gone + found), (1, told.len()), "{id}: {told:?}");
    }
    assert_eq!(test.sandbox.sandbox().report(0, 500).jobs.largest, 5, "one job carried all five");
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn the_same_purge_again_and_again_is_purged_once_and_then_already_purged() {
    let test = TestService::start().await;
    let ids = &test.ids_of(Kind::Eligible)[..7];
    for round in 0..4 {
        let shouted =
            ids.iter().map(|id| if round % 2 == 0 { id.to_string() } else { id.to_string().to_uppercase() });
        let body = json!({ "conversationIds": shouted.collect::<Vec<_>>() });
        let done = test.finished(test.purge_with(body).await).await;
        let outcome = if round == 0 { "purged" } else { "already_purged" };
        assert_eq!((&done["state"], &done["counts"][outcome]), (&json!("completed"), &json!(7)), "{done}");
    }
    assert_eq!(test.calls(Call::Submit, "200"), 1);
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn what_another_purge_deleted_is_already_purged_even_where_upstream_lists_it_no_more() {
    let test = Setup::new()
        .sandbox(|org| {
            org.deleted_looks = DeletedLooks::Absent;
            org.shares.unknown = 0.2;
        })
        .start()
        .await;
    let (known, unknown) = (test.ids_of(Kind::Eligible), test.ids_of(Kind::Unknown));
    let ids = [&known[..5], &unknown[..2]].concat();
    let first = test.finished(test.purge(&ids).await).await;
    assert_eq!(
        (&first["counts"]["purged"], &first["counts"]["not_found"]),
        (&json!(5), &json!(2)),
        "{first}"
    );
    for is_dry_run in [true, false] {
        let body = json!({ "conversationIds": ids, "dryRun": is_dry_run });
        let counts = test.finished(test.purge_with(body).await).await["counts"].clone();
        assert_eq!((&counts["already_purged"], &counts["not_found"]), (&json!(5), &json!(2)), "{counts}");
    }
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn a_job_that_failed_lets_its_ids_go_to_who_waits_for_them() {
    let test = Setup::new()
        .env("PURGE__ENGINE__MAX_ATTEMPTS", "1")
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "100ms")
        .sandbox(|org| {
            org.failed_share = 1.0;
            org.job_duration.base_ms = 800;
        })
        .start()
        .await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let first = test.purge(ids).await;
    eventually("upstream has the first job", async || test.calls(Call::Submit, "200") == 1).await;
    test.sandbox.sandbox().patch_settings(json!({ "failedShare": 0 })).unwrap();
    let second = test.purge(ids).await;
    assert_eq!(test.finished(first).await["counts"]["failed"], 3);
    let body = test.finished(second).await;
    assert_eq!(body["counts"]["purged"], 3, "the waiters were woken and had their own job: {body}");
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn a_conflict_lets_the_offender_go_to_who_waits_for_it_with_the_same_end() {
    let test = Setup::new()
        .sandbox(|org| {
            org.shares.conflict_named = 0.2;
            org.shares.conflict_unnamed = 0.1;
        })
        .start()
        .await;
    let ids: Vec<Uuid> = test.sandbox.sandbox().ids().collect();
    let purges = [test.purge(&ids).await, test.purge(&ids).await];
    all_final(&test).await;
    for (id, told) in outcomes(&test, &purges).await {
        let expected = test.sandbox.sandbox().conversation(id).unwrap().expected_outcome.name();
        let same = told.iter().all(|(outcome, _)| outcome == expected);
        let once = told.iter().filter(|(outcome, _)| outcome == "purged").count() == 1
            && told.iter().any(|(outcome, _)| outcome == "already_purged");
        assert!(if expected == "purged" { once } else { same }, "{id} is {expected}: {told:?}");
    }
    test.assert_no_breach();
    assert_books(&test).await;
}

struct Held {
    quiet_at: Timestamp,
    too_late: BTreeSet<Uuid>,
    id: Uuid,
}

/// A thousand small purges of a few hundred conversations, holds in between, and everything goes wrong now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_overlapping_purges_with_holds_and_faults_end_with_books_that_agree() {
    let test = storm::setup(11, 700).start().await;
    storm::break_loose(&test);
    let ids: Vec<Uuid> = test.sandbox.sandbox().ids().collect();
    let mut chance = StdRng::seed_from_u64(20_260_101);
    let (mut purges, mut held) = (Vec::new(), Vec::new());
    for _ in 0..125 {
        let bodies: Vec<Vec<Uuid>> = (0..8)
            .map(|_| {
                let size = chance.random_range(1..=12);
                ids.sample(&mut chance, size).copied().collect()
            })
            .collect();
        purges.extend(futures_util::future::join_all(bodies.iter().map(|ids| test.purge(ids))).await);
        if chance.random_bool(0.4) {
            let protected: Vec<Uuid> = ids.sample(&mut chance, 2).copied().collect();
            held.extend(hold(&test, &protected).await);
        }
    }
    assert_eq!(purges.len(), 1000);
    all_final(&test).await;

    test.assert_no_breach();
    assert_books(&test).await;
    let upstream = test.sandbox.sandbox();
    for hold in &held {
        let truth = upstream.conversation(hold.id).unwrap();
        assert!(
            truth.jobs.iter().all(|job| job.submitted_at <= hold.quiet_at),
            "{} {truth:?}",
            hold.quiet_at
        );
        let was_named = truth.deleted_at.is_some_and(|at| at > hold.quiet_at);
        assert!(!was_named || hold.too_late.contains(&hold.id), "{truth:?}");
    }
    for (id, told) in outcomes(&test, &purges).await {
        let truth = upstream.conversation(id).unwrap();
        let gone = told.iter().filter(|(outcome, _)| outcome == "purged").count();
        let at_first_hand =
            told.iter().filter(|(outcome, code)| outcome == "purged" && code != "seen_gone_later").count();
        assert_eq!(gone > 0, truth.deleted_at.is_some(), "{id}: {told:?} {truth:?}");
        assert!(at_first_hand <= 1, "{id} was deleted by one job alone: {told:?} {truth:?}");
        assert!(told.iter().all(|(outcome, _)| outcome != "would_purge" && outcome != "canceled"));
    }
    let most_waited = count(
        &mut test.database.connect().await,
        "select count(*) from decisions where code in ('facts_stale', 'purged_elsewhere')",
    )
    .await;
    assert!(most_waited > 100, "purges met each other: {most_waited}");
}

async fn hold(test: &TestService, ids: &[Uuid]) -> Vec<Held> {
    let (status, body) = test.post("/holds", &json!({ "matter": "M", "conversationIds": ids })).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let too_late: BTreeSet<Uuid> = serde_json::from_value(body["tooLate"].clone()).unwrap();
    let quiet_at = body["quietAt"].as_str().unwrap().parse().unwrap();
    ids.iter().map(|&id| Held { quiet_at, too_late: too_late.clone(), id }).collect()
}

#[tokio::test]
async fn an_id_of_a_hundred_purges_is_asked_about_once_a_call() {
    let mut test = Setup::new().role(Role::Api).start().await;
    let id = &test.ids_of(Kind::Eligible)[..1];
    for _ in 0..100 {
        test.purge(id).await;
    }
    test.stop_service().await;
    test.start_service().await;
    all_final(&test).await;
    assert_eq!(test.calls(Call::Details, "400"), 0, "upstream refuses a call that names an id twice");
    let calls = test.calls(Call::Details, "200");
    assert!(calls <= 20, "{calls} calls for one id");
    assert_eq!(test.calls(Call::Submit, "200"), 1);
    test.assert_no_breach();
    assert_books(&test).await;
}
