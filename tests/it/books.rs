//! After a run with every kind of event, outcomes, decisions, counts, events and deliveries agree.

use std::collections::BTreeSet;

use genesys_purge::domain::outcome::Outcome;
use genesys_purge::domain::state::{DeliveryState, JobResult, JobState, JobStep, PurgeState, SliceState};
use genesys_purge::sandbox::{Expected, Kind};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::books::{all_final, assert_books, count};
use crate::support::{TestService, storm};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_agree_after_every_kind_of_conversation_fault_conflict_and_failed_job() {
    let test = storm::setup(7, 1500).start().await;
    storm::break_loose(&test);
    let ids: Vec<Uuid> = test.sandbox.sandbox().ids().collect();
    let own_holds = &test.ids_of(Kind::Eligible)[..20];
    test.post("/holds", &json!({ "matter": "M", "conversationIds": own_holds })).await;
    let mut purges = vec![test.purge(&ids[..900]).await];
    for chunk in ids[850..].chunks(50) {
        purges.push(test.purge(chunk).await);
    }
    purges.push(test.purge_with(json!({ "conversationIds": &ids[..200], "dryRun": true })).await);
    all_final(&test).await;

    assert_books(&test).await;
    test.assert_no_breach();
    everything_happened(&test).await;
    outcomes_are_the_truth(&test, &purges, own_holds).await;
}

/// A test of everything that meets only half of it proves little.
async fn everything_happened(test: &TestService) {
    let mut connection = test.database.connect().await;
    let met: BTreeSet<String> = sqlx::query_scalar::<_, String>(
        "select distinct code from decisions
         union select distinct result::text from jobs
         union select distinct 'step ' || step from decisions",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap()
    .into_iter()
    .collect();
    for expected in [
        "eligible",
        "intent",
        "gone",
        "absent_twice",
        "legal_hold",
        "upstream_legal_hold",
        "upstream_conflict",
        "not_ended",
        "retention_period",
        "unknown_age",
        "not_submitted",
        "still_present",
        "gone_after_lost_submit",
        "present_after_lost_submit",
        "completed",
        "failed",
        "rejected",
        "step validate",
        "step intend",
        "step submit",
        "step verify",
        "step reread",
    ] {
        assert!(met.contains(expected), "{expected} was not met: {met:?}");
    }
    let children = count(&mut connection, "select count(*) from jobs where parent is not null").await;
    assert!(children > 0, "a conflict that names nobody was halved");
    let standing = test.sandbox.sandbox().faults();
    assert!(standing.iter().filter(|rule| rule.struck == 0).count() <= 1, "{standing:#?}");
}

/// What each purge tells of a conversation is what upstream knows of it.
async fn outcomes_are_the_truth(test: &TestService, purges: &[Uuid], own_holds: &[Uuid]) {
    for &purge in purges {
        let is_dry_run = test.get(&format!("/purges/{purge}")).await["dryRun"] == json!(true);
        for row in test.conversations(purge).await {
            let id: Uuid = row["conversationId"].as_str().unwrap().parse().unwrap();
            let truth = test.sandbox.sandbox().conversation(id).unwrap();
            let outcome: Outcome = row["outcome"].as_str().unwrap().parse().unwrap();
            match outcome {
                Outcome::Purged => assert!(truth.deleted_at.is_some(), "{row} {truth:?}"),
                Outcome::AlreadyPurged => {
                    assert!(truth.kind == Kind::Deleted || truth.deleted_at.is_some(), "{row} {truth:?}");
                }
                Outcome::WouldPurge => assert!(is_dry_run && truth.kind != Kind::Held, "{row} {truth:?}"),
                Outcome::Failed => assert_eq!(truth.expected_outcome, Expected::Purged, "{row} {truth:?}"),
                Outcome::OnHold if own_holds.contains(&id) => {
                    assert_eq!(truth.jobs.len(), 0, "{row} {truth:?}");
                }
                other => assert_eq!(other.as_str(), truth.expected_outcome.name(), "{row} {truth:?}"),
            }
        }
    }
}

#[tokio::test]
async fn what_was_decided_told_and_accepted_can_be_neither_changed_nor_removed() {
    let test = TestService::start().await;
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..2]).await;
    test.finished(purge).await;
    let mut connection = test.database.connect().await;
    for (table, column) in [("decisions", "code"), ("events", "actor"), ("conversations", "ordinal")] {
        for sql in [
            format!("update {table} set {column} = {column}"),
            format!("delete from {table}"),
            format!("delete from {table} where false"),
            format!("truncate {table} cascade"),
        ] {
            let refused = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut connection).await;
            let error = refused.expect_err(&sql).to_string();
            assert!(
                error.contains(&format!("rows of {table} are never changed or removed")),
                "{sql}: {error}"
            );
        }
    }
    // Emptying what they refer to would empty them, too.
    let refused = sqlx::query("truncate purges cascade").execute(&mut connection).await;
    assert!(refused.expect_err("events refer to purges").to_string().contains("never changed or removed"));
    assert_books(&test).await;
}

fn words<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_words_of_the_database_are_those_of_the_code() {
    let test = TestService::start().await;
    let mut connection = test.database.connect().await;
    let expected = [
        ("purge_state", words(PurgeState::ALL)),
        ("slice_state", words(SliceState::ALL)),
        ("job_state", words(JobState::ALL)),
        ("job_result", words(JobResult::ALL)),
        ("job_step", words(JobStep::ALL)),
        ("delivery_state", words(DeliveryState::ALL)),
    ];
    for (name, words) in &expected {
        let sql = format!("select enum_range(null::{name})::text[]");
        let range: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        assert_eq!(&range, words, "{name}");
    }
    let enums: Vec<String> = sqlx::query_scalar(
        "select typname::text from pg_type where typtype = 'e' and typnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(enums.len(), expected.len(), "an enum without a counterpart: {enums:?}");
    let columns: Vec<String> = sqlx::query_scalar(
        "select column_name::text from information_schema.columns where table_name = 'purges'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(Outcome::ALL.iter().all(|outcome| columns.contains(&outcome.to_string())), "{columns:?}");
}
