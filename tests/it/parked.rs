//! Slices that can't be read: each stops its own purge and nobody else's, is parked after some tries, and goes on once it is
//! repaired.

use std::time::Duration;

use genesys_purge::app::{Role, org_terms};
use genesys_purge::sandbox::{Call, JobDuration, Kind};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::assert_books;
use crate::support::trouble::{endings, strikes};
use crate::support::{Setup, TestService};

/// Makes the first conversation of the purge's first slice unreadable as soon as the slice is written so.
async fn spoil_when(test: &TestService, purge: Uuid, is_so: &str) {
    test.sql(&format!(
        "create function spoil() returns trigger language plpgsql as $$
         begin new.outcomes := set_byte(new.outcomes, 0, get_byte(new.outcomes, 0) | 15); return new; end $$;
         create trigger spoil before update on slices
         for each row when (new.purge_id = '{purge}' and new.slice_no = 0 and {is_so}) execute function spoil()"
    ))
    .await;
}

/// The first conversation of the slice is in a job that is submitted.
const IN_A_JOB: &str = "get_byte(new.outcomes, 0) & 15 = 2 and get_byte(old.outcomes, 0) & 15 = 1";

async fn spoil(test: &TestService, purge: Uuid) {
    test.sql(&format!(
        "update slices set outcomes = set_byte(outcomes, 0, get_byte(outcomes, 0) | 15)
         where purge_id = '{purge}' and slice_no = 0"
    ))
    .await;
}

/// The statement of docs/operations.md, on the first conversation of the purge.
async fn repair(test: &TestService, purge: Uuid) {
    test.sql("drop trigger if exists spoil on slices").await;
    let operations = include_str!("../../docs/operations.md");
    let statement = operations.split("```sql").find(|text| text.contains("set_byte")).unwrap();
    let statement = statement.split("```").next().unwrap();
    let purge = format!("'{purge}'");
    let filled = statement.replace(":purge", &purge).replace(":slice", "0").replace(":position", "0");
    test.sql(&filled).await;
}

/// Has what is set aside read again now.
async fn read_again(test: &TestService) {
    test.sql("update slices set read_again_at = clock_timestamp() where read_again_at is not null").await;
    test.sql("select pg_notify('genesys_purge_work', 'default')").await;
}

/// Has it read again until it is parked; the purge as it is read then.
async fn parked(test: &TestService, purge: Uuid) -> Value {
    let path = format!("/purges/{purge}");
    test.wait_until("it is parked", async || {
        read_again(test).await;
        test.get(&path).await["parked"].is_object()
    })
    .await;
    test.get(&path).await
}

/// Has it read again until its purge is final.
async fn goes_on(test: &TestService, purge: Uuid) -> Value {
    test.wait_until("the repaired purge is final", async || {
        read_again(test).await;
        !test.get(&format!("/purges/{purge}")).await["finishedAt"].is_null()
    })
    .await;
    test.finished(purge).await
}

/// Has it read again until its purge is final, and all of it has ended so; each of the ids was deleted once, and the books
/// agree.
async fn ends(test: &TestService, purge: Uuid, ending: (&str, usize), ids: &[Uuid]) {
    goes_on(test, purge).await;
    assert_eq!(test.endings(purge).await, endings([ending]));
    test.assert_purged_once(ids);
    assert_books(test).await;
}

async fn events(test: &TestService, purge: Uuid) -> Vec<String> {
    let page = test.get(&format!("/purges/{purge}/events?limit=1000")).await;
    page["items"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// A survey finds something to do.
async fn has_work(test: &TestService) -> bool {
    let store = test.store().await;
    let org = org_terms("default", &test.settings.orgs["default"]);
    let survey = store.survey(&org, Duration::ZERO).await.unwrap();
    store.close().await;
    survey.has_to_sweep || survey.slice_at.is_some() || survey.drawable > 0
}

/// Two purges that are accepted before anybody works.
async fn two(setup: Setup, first: usize) -> (TestService, [Uuid; 2], Vec<Uuid>) {
    let test = setup.role(Role::Api).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let purges = [test.purge(&ids[..first]).await, test.purge(&ids[first..first + 3]).await];
    (test, purges, ids[..first + 3].to_vec())
}

async fn work(test: &mut TestService) {
    test.stop_service().await;
    test.start_service().await;
}

fn slow_jobs(millis: u32) -> Setup {
    Setup::new().sandbox(|org| org.job_duration = JobDuration { base_ms: millis, jitter_ms: 0 })
}

#[tokio::test]
async fn what_can_not_be_read_before_its_validation_is_parked_and_all_else_is_purged() {
    let setup = Setup::new().sandbox(|org| org.conversations = 600);
    let (mut test, [purge, other], ids) = two(setup, 502).await;
    spoil(&test, purge).await;
    work(&mut test).await;
    assert_eq!(test.finished(other).await["counts"]["purged"], 3);
    test.purge_when(purge, |body| body["counts"]["purged"] == 2).await;
    test.assert_purged_once(&ids[500..]);
    test.assert_untouched(&ids[..500]);

    let body = parked(&test, purge).await;
    assert_eq!((&body["state"], &body["parked"]["slices"]), (&json!("running"), &json!(1)), "{body}");
    assert_eq!(body["parked"]["conversations"], 500);
    let error = "the outcome byte at position 0 is 0x0f, which is not an outcome";
    assert_eq!(body["parked"]["error"], error);
    assert_eq!(test.endings(purge).await, endings([("pending ", 500), ("purged gone", 2)]));
    assert!(events(&test, purge).await.contains(&"slice_parked".to_owned()));
    test.wait_until("what is parked costs nothing", async || !has_work(&test).await).await;
    let store = test.store().await;
    assert_eq!(store.org_conditions().await.unwrap()[0].parked_of, Some(purge), "doctor names it");
    store.close().await;
    test.wait_until("the metric", async || {
        let page = test.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        page.contains("genesys_purge_slices_parked{org=\"default\"} 1\n")
    })
    .await;

    repair(&test, purge).await;
    let body = goes_on(&test, purge).await;
    assert_eq!((&body["counts"]["purged"], &body["parked"]), (&json!(502), &Value::Null), "{body}");
    assert!(events(&test, purge).await.contains(&"slice_unparked".to_owned()));
    test.assert_purged_once(&ids);
    assert_books(&test).await;
}

#[tokio::test]
async fn what_can_not_be_read_before_packing_is_in_no_job() {
    let (mut test, [purge, other], ids) = two(Setup::new(), 3).await;
    spoil_when(&test, purge, "new.drawable > 0").await;
    work(&mut test).await;
    assert_eq!(test.finished(other).await["counts"]["purged"], 3);
    assert_eq!(parked(&test, purge).await["state"], "running");
    test.assert_untouched(&ids[..3]);
    test.wait_until("what is parked costs nothing", async || !has_work(&test).await).await;

    repair(&test, purge).await;
    ends(&test, purge, ("purged gone", 3), &ids).await;
}

#[tokio::test]
async fn what_can_not_be_read_before_its_intent_leaves_the_job() {
    let (mut test, [purge, other], ids) = two(slow_jobs(2000), 3).await;
    // Reserved, but not carried.
    spoil_when(&test, purge, "get_byte(new.outcomes, 0) = 65").await;
    work(&mut test).await;
    let submitted = "select count(*) from jobs where state = 'submitted'";
    test.wait_until("the job", async || test.number(submitted).await == 1).await;
    assert_eq!(test.number("select count(*) from reservations").await, 3, "those of the other purge");
    assert_eq!(test.finished(other).await["counts"]["purged"], 3);
    test.assert_untouched(&ids[..3]);
    // Whoever names the same ids need not wait.
    let third = test.purge(&ids[..3]).await;
    assert_eq!(test.endings_when_final(third).await, endings([("purged gone", 3)]));

    repair(&test, purge).await;
    ends(&test, purge, ("already_purged gone", 3), &ids).await;
}

#[tokio::test]
async fn what_can_not_be_read_while_its_job_runs_holds_up_neither_who_shares_it_nor_who_waits_for_it() {
    let (mut test, [purge, other], ids) = two(slow_jobs(2000), 3).await;
    spoil_when(&test, purge, IN_A_JOB).await;
    work(&mut test).await;
    test.wait_until("the job", async || test.calls(Call::Submit, "200") == 1).await;
    let waiting = test.purge(&ids[..3]).await;
    test.wait_until("three conversations wait", async || {
        test.number("select count(*) from waiters").await == 3
    })
    .await;
    assert_eq!(test.finished(other).await["counts"]["purged"], 3);
    assert_eq!(test.endings_when_final(waiting).await, endings([("already_purged gone", 3)]));
    let body = parked(&test, purge).await;
    assert_eq!((&body["state"], &body["counts"]["submitted"]), (&json!("running"), &json!(3)), "{body}");
    assert_eq!(test.number("select count(*) from reservations").await, 0);

    repair(&test, purge).await;
    ends(&test, purge, ("purged seen_gone_later", 3), &ids).await;
}

#[tokio::test]
async fn what_is_repaired_while_its_job_is_not_done_waits_for_it() {
    let setup = Setup::new().sandbox(|org| org.deletion_lag_ms = 3000);
    let (mut test, [purge, other], ids) = two(setup, 3).await;
    spoil_when(&test, purge, IN_A_JOB).await;
    work(&mut test).await;
    let set_aside = "select count(*) from slices where read_again_at is not null";
    test.wait_until("the first look", async || test.number(set_aside).await == 1).await;
    repair(&test, purge).await;
    read_again(&test).await;
    test.wait_until("it waits", async || {
        test.number("select count(*) from slices where read_again_at > clock_timestamp() + interval '30 s'")
            .await
            == 1
    })
    .await;
    assert_eq!(test.get(&format!("/purges/{purge}")).await["counts"]["submitted"], 3);
    assert_eq!(test.finished(other).await["counts"]["purged"], 3);
    ends(&test, purge, ("purged seen_gone_later", 3), &ids).await;
}

#[tokio::test]
async fn a_batch_that_is_refused_or_lost_goes_again_without_what_can_not_be_read() {
    for status in [400, 504] {
        let (mut test, [purge, other], ids) = two(Setup::new(), 3).await;
        spoil_when(&test, purge, IN_A_JOB).await;
        test.fault(strikes("submit", 1, &json!({ "status": status })));
        work(&mut test).await;
        assert_eq!(test.endings_when_final(other).await, endings([("purged gone", 3)]), "{status}");
        test.assert_untouched(&ids[..3]);
        let submits = test.log(Call::Submit);
        assert_eq!((submits.len(), submits[1].ids), (2, 3), "{status}: {submits:?}");

        repair(&test, purge).await;
        ends(&test, purge, ("purged gone", 3), &ids).await;
    }
}

#[tokio::test]
async fn who_waits_for_an_id_and_can_not_be_read_holds_up_none_of_the_others_that_wait() {
    let test = slow_jobs(2000).start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let first = test.purge(ids).await;
    test.wait_until("the job", async || test.calls(Call::Submit, "200") == 1).await;
    let waiting = [test.purge(ids).await, test.purge(ids).await];
    test.wait_until("both wait", async || test.number("select count(*) from waiters").await == 6).await;
    spoil(&test, waiting[0]).await;
    assert_eq!(test.finished(first).await["counts"]["purged"], 3);
    assert_eq!(test.endings_when_final(waiting[1]).await, endings([("already_purged gone", 3)]));
    assert_eq!(parked(&test, waiting[0]).await["counts"]["eligible"], 3);
    assert_eq!(test.number("select count(*) from waiters").await, 0);

    repair(&test, waiting[0]).await;
    ends(&test, waiting[0], ("already_purged gone", 3), ids).await;
}

#[tokio::test]
async fn a_canceled_purge_that_can_not_be_read_is_canceling_until_it_is_repaired() {
    let (mut test, [purge, other], ids) = two(Setup::new(), 3).await;
    spoil(&test, purge).await;
    for canceled in [purge, other] {
        let (status, body) = test.post(&format!("/purges/{canceled}/cancel"), &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    work(&mut test).await;
    assert_eq!(test.finished(other).await["state"], "canceled");
    assert_eq!(parked(&test, purge).await["state"], "canceling");
    test.wait_until("what is parked costs nothing", async || !has_work(&test).await).await;

    repair(&test, purge).await;
    assert_eq!(goes_on(&test, purge).await["counts"]["canceled"], 3);
    test.assert_untouched(&ids);
    assert_books(&test).await;
}

#[tokio::test]
async fn positions_of_a_job_that_can_not_be_read_hold_up_nobody_who_shares_it() {
    let (mut test, [purge, other], ids) = two(slow_jobs(3000), 3).await;
    work(&mut test).await;
    let submitted = "select count(*) from jobs where state = 'submitted'";
    test.wait_until("the job", async || test.number(submitted).await == 1).await;
    test.sql(&format!("update job_parts set positions = '{{0,1,-2}}' where purge_id = '{purge}'")).await;
    assert_eq!(test.finished(other).await["counts"]["purged"], 3);
    goes_on(&test, purge).await;
    assert_eq!(test.endings(purge).await, endings([("purged seen_gone_later", 3)]), "asked afresh");
    test.assert_purged_once(&ids);
    assert_books(&test).await;
}

#[tokio::test]
async fn a_decision_that_can_not_be_read_fails_the_reads_of_its_own_conversation() {
    let (mut test, [purge, other], ids) = two(Setup::new(), 3).await;
    test.sql(&format!(
        "insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, decided_at)
         values ('{purge}', 0, 1, '{{0}}', 0, 99, 'validate', now())"
    ))
    .await;
    work(&mut test).await;
    for purge in [purge, other] {
        assert_eq!(test.finished(purge).await["counts"]["purged"], 3);
    }
    let status = async |path: String| test.request(Method::GET, &path).send().await.unwrap().status();
    assert_eq!(status(format!("/conversations/{}", ids[0])).await, StatusCode::INTERNAL_SERVER_ERROR);
    for id in &ids[1..] {
        assert_eq!(status(format!("/conversations/{id}")).await, StatusCode::OK);
    }
    assert_eq!(test.endings(other).await, endings([("purged gone", 3)]));
}

#[tokio::test]
async fn a_position_that_waits_and_can_not_be_read_holds_up_none_of_the_others_that_wait() {
    let test = slow_jobs(2000).start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    test.purge(ids).await;
    test.wait_until("the job", async || test.calls(Call::Submit, "200") == 1).await;
    let waiting = [test.purge(ids).await, test.purge(ids).await];
    test.wait_until("both wait", async || test.number("select count(*) from waiters").await == 6).await;
    test.sql(&format!(
        "update waiters set position = 400 where purge_id = '{}' and conversation_id = '{}'",
        waiting[0], ids[1]
    ))
    .await;
    assert_eq!(test.endings_when_final(waiting[1]).await, endings([("already_purged gone", 3)]));
    ends(&test, waiting[0], ("already_purged gone", 3), ids).await;
}
