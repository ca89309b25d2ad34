//! Dry runs: the whole truth about what would be purged, and not one call that deletes.

use std::collections::BTreeMap;

use genesys_purge::sandbox::{Call, Kind, Shares};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::{assert_books, count};
use crate::support::{Setup, TestService};

async fn dry_run(test: &TestService, ids: &[Uuid]) -> Uuid {
    test.purge_with(json!({ "conversationIds": ids, "dryRun": true })).await
}

#[tokio::test]
async fn every_kind_of_conversation_is_told_and_nothing_is_submitted() {
    let test = Setup::new()
        .sandbox(|org| {
            org.conversations = 1200;
            org.shares = Shares {
                eligible: 4.0,
                held: 1.0,
                young: 1.0,
                active: 1.0,
                deleted: 1.0,
                unknown: 1.0,
                conflict_named: 1.0,
                conflict_unnamed: 1.0,
                unreadable_end: 1.0,
            };
            org.leave_out_share = 0.3;
        })
        .start()
        .await;
    let ids: Vec<Uuid> = test.sandbox.sandbox().ids().collect();
    let own_hold = test.ids_of(Kind::Eligible)[0];
    test.post("/holds", &json!({ "matter": "M", "conversationIds": [own_hold] })).await;
    let purge = dry_run(&test, &ids).await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["dryRun"]), (&json!("completed"), &json!(true)), "{body}");

    let expected = |id: Uuid| match test.sandbox.sandbox().conversation(id).unwrap().kind {
        _ if id == own_hold => "on_hold",
        // What only a submit finds can't be known.
        Kind::Eligible | Kind::ConflictNamed | Kind::ConflictUnnamed => "would_purge",
        Kind::Held => "on_hold",
        Kind::Young | Kind::UnreadableEnd => "retained",
        Kind::Active => "active",
        Kind::Deleted => "already_purged",
        Kind::Unknown => "not_found",
    };
    let mut counted = BTreeMap::<&str, i64>::new();
    let rows = test.conversations(purge).await;
    assert_eq!(rows.len(), ids.len());
    for (row, &id) in rows.iter().zip(&ids) {
        let expected = expected(id);
        assert_eq!((&row["conversationId"], &row["outcome"]), (&json!(id), &json!(expected)), "{row}");
        assert_eq!(row["jobId"], json!(null));
        *counted.entry(expected).or_default() += 1;
    }
    for (outcome, number) in body["counts"].as_object().unwrap() {
        match outcome.as_str() {
            "total" => assert_eq!(number, &json!(1200)),
            "duplicates" => assert_eq!(number, &json!(0)),
            outcome => assert_eq!(number, counted.get(outcome).unwrap_or(&0), "{outcome}"),
        }
    }

    let calls = test.sandbox.sandbox().report(0, 500).counts;
    assert_eq!((calls.get(&Call::Submit), calls.get(&Call::Poll)), (None, None), "{calls:?}");
    assert_eq!(test.sandbox.sandbox().truth().deleted, 0);
    let mut connection = test.database.connect().await;
    for sql in
        ["select count(*) from jobs", "select count(*) from reservations", "select count(*) from waiters"]
    {
        assert_eq!(count(&mut connection, sql).await, 0, "{sql}");
    }
    assert_eq!(test.get(&format!("/purges/{purge}/jobs")).await["items"], json!([]));
    let hooks = test.receiver.wait_for(1, |_| true).await;
    assert_eq!((hooks.len(), hooks[0].event()), (1, "purge_completed"));
    assert_eq!(hooks[0].body["counts"], body["counts"]);
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn a_dry_run_neither_waits_for_slots_nor_keeps_anybody_from_deleting() {
    let test = Setup::new()
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "1")
        .sandbox(|org| org.job_duration.base_ms = 3000)
        .start()
        .await;
    let ids = test.ids_of(Kind::Eligible);
    let real = test.purge(&ids[..10]).await;
    crate::support::books::eventually("the only slot is taken", async || {
        test.calls(Call::Submit, "200") == 1
    })
    .await;
    let dry = dry_run(&test, &ids[..20]).await;
    let told = test.finished(dry).await;
    assert_eq!(told["counts"]["would_purge"], 20, "{told}");
    assert_eq!(
        test.get(&format!("/purges/{real}")).await["state"],
        "running",
        "it did not wait for the slot"
    );

    let done = test.finished(real).await;
    assert_eq!(done["counts"]["purged"], 10, "{done}");
    let after = test.finished(dry_run(&test, &ids[..20]).await).await;
    let counts: (&Value, &Value) = (&after["counts"]["already_purged"], &after["counts"]["would_purge"]);
    assert_eq!(counts, (&json!(10), &json!(10)));
    assert_eq!(test.calls(Call::Submit, "200"), 1);
    test.assert_no_breach();
}

#[tokio::test]
async fn an_upload_can_be_a_dry_run_too() {
    let test = TestService::start().await;
    let ids = test.ids_of(Kind::Eligible);
    let lines: String = ids.iter().flat_map(|id| [id.to_string(), "\n".to_owned()]).collect();
    let upload =
        test.request(Method::POST, "/purges?dryRun=true").header("content-type", "text/csv").body(lines);
    let accepted: Value = upload.send().await.unwrap().json().await.unwrap();
    assert_eq!(accepted["dryRun"], true, "{accepted}");
    let body = test.finished(accepted["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(body["counts"]["would_purge"], 100, "{body}");
    assert_eq!(test.sandbox.sandbox().report(0, 500).counts.get(&Call::Submit), None);
}

#[tokio::test]
async fn the_database_itself_refuses_a_dry_run_that_submits() {
    let test = TestService::start().await;
    let purge = dry_run(&test, &test.ids_of(Kind::Eligible)[..3]).await;
    test.finished(purge).await;
    let mut connection = test.database.connect().await;
    for column in ["submitted", "purged"] {
        let sql = format!("update purges set {column} = 1, would_purge = would_purge - 1 where id = $1");
        let refused = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(purge).execute(&mut connection).await;
        let error = refused.unwrap_err();
        assert_eq!(
            error.as_database_error().and_then(|error| error.constraint()),
            Some("a_dry_run_submits_nothing"),
            "{error}"
        );
    }
}
