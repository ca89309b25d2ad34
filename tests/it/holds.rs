//! Legal holds: a conversation that is held before its intent is never submitted, and those for which it came too late
//! are named.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::{Call, Kind};
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::{assert_books, count, eventually};
use crate::support::service::read;
use crate::support::{Setup, TestService};

async fn hold(test: &TestService, ids: &[Uuid]) -> Value {
    let (status, hold) =
        test.post("/holds", &json!({ "matter": "Smith v. Jones", "conversationIds": ids })).await;
    assert_eq!(status, StatusCode::CREATED, "{hold}");
    hold
}

fn ids_in(value: &Value) -> BTreeSet<Uuid> {
    value.as_array().unwrap().iter().map(|id| id.as_str().unwrap().parse().unwrap()).collect()
}

fn time_in(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// When upstream took each job that named the conversation.
fn submits(test: &TestService, id: Uuid) -> Vec<Timestamp> {
    test.sandbox.sandbox().conversation(id).unwrap().jobs.iter().map(|job| job.submitted_at).collect()
}

#[tokio::test]
async fn a_hold_is_told_whole_listed_released_once_and_kept_in_the_history() {
    let test = TestService::start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let repeated = [ids, &ids[..1]].concat();
    let response = test
        .request(Method::POST, "/holds")
        .json(&json!({ "matter": "Smith v. Jones", "conversationIds": repeated }))
        .send()
        .await
        .unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let (status, created) = read(response).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    assert_eq!(location, format!("/holds/{}", created["id"].as_str().unwrap()));
    let expected = json!({
        "id": created["id"], "matter": "Smith v. Jones", "externalId": null, "active": true, "conversations": 3, "orgs": ["default"],
        "createdBy": "tester", "createdAt": created["createdAt"], "releasedBy": null, "releasedAt": null,
        "reason": null, "releaseReason": null,
        "quietAt": created["quietAt"], "tooLate": [],
    });
    assert_eq!(created, expected);
    assert!(time_in(&created["quietAt"]) >= time_in(&created["createdAt"]));

    let mut told = created.clone();
    told.as_object_mut().unwrap().retain(|field, _| field != "quietAt" && field != "tooLate");
    let mut whole = told.clone();
    whole["tooLate"] = json!([]);
    assert_eq!(test.get(&location).await, whole);
    assert_eq!(test.get("/holds").await, json!({ "items": [told], "nextCursor": null }));
    let history = test.get(&format!("/conversations/{}", ids[0])).await;
    assert_eq!(history["holds"], json!([told]));

    let (status, released) = test.post(&format!("{location}/release"), &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{released}");
    assert_eq!((&released["active"], &released["releasedBy"]), (&json!(false), &json!("tester")));
    let (status, again) = test.post(&format!("{location}/release"), &json!({})).await;
    assert_eq!((status, &again["code"]), (StatusCode::CONFLICT, &json!("already_released")));
    let mut kept = test.get(&location).await;
    kept.as_object_mut().unwrap().remove("tooLate");
    assert_eq!(kept, released, "the second release changed nothing");
    let mut connection = test.database.connect().await;
    let events: Vec<String> =
        sqlx::query_scalar("select type from events where hold_id = $1 order by at, id")
            .bind(created["id"].as_str().unwrap().parse::<Uuid>().unwrap())
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(events, ["hold_created", "hold_released"]);
}

#[tokio::test]
async fn holds_are_listed_newest_first_in_pages() {
    let test = TestService::start().await;
    let mut made = Vec::new();
    for id in &test.ids_of(Kind::Eligible)[..5] {
        made.insert(0, hold(&test, &[*id]).await["id"].clone());
    }
    let (mut listed, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = test.get(&format!("/holds?limit=2{cursor}")).await;
        listed.extend(page["items"].as_array().unwrap().iter().map(|hold| hold["id"].clone()));
        pages += 1;
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((listed, pages), (made, 3));
}

#[tokio::test]
async fn a_key_for_one_org_neither_sees_nor_lifts_the_protection_of_another() {
    let test = Setup::new()
        .env("PURGE__ORGS__EU__BASE_URL", "http://127.0.0.1:9")
        .env("PURGE__ORGS__EU__CLIENT_ID", "nobody")
        .env("PURGE__ORGS__EU__CLIENT_SECRET", "nothing")
        .start()
        .await;
    let ids = test.ids_of(Kind::Eligible);
    let everywhere = hold(&test, &ids[..1]).await;
    assert_eq!(everywhere["orgs"], json!(["default", "eu"]));
    let (status, abroad) =
        test.post("/holds", &json!({ "matter": "M", "conversationIds": [ids[1]], "org": "eu" })).await;
    assert_eq!((status, &abroad["orgs"]), (StatusCode::CREATED, &json!(["eu"])));

    let key = test.make_key(Scope::ALL, Some(&["default"])).await;
    let call = async |method: Method, path: String, body: Value| {
        let url = format!("{}{path}", test.url);
        read(test.client.request(method, url).bearer_auth(&key).json(&body).send().await.unwrap()).await
    };
    let id = |hold: &Value| hold["id"].as_str().unwrap().to_owned();
    let (_, list) = call(Method::GET, "/holds".to_owned(), json!(null)).await;
    let listed: Vec<_> = list["items"].as_array().unwrap().iter().map(|hold| &hold["id"]).collect();
    assert_eq!(listed, [&everywhere["id"]]);
    let (status, _) = call(Method::GET, format!("/holds/{}", id(&abroad)), json!(null)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    for hold in [&abroad, &everywhere] {
        let (status, _) = call(Method::POST, format!("/holds/{}/release", id(hold)), json!({})).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "it would lift the protection in an org it can't reach");
        assert_eq!(test.get(&format!("/holds/{}", id(hold))).await["active"], true);
    }
    let body = |org: Value| json!({ "matter": "M", "conversationIds": [ids[2]], "org": org });
    let (status, problem) = call(Method::POST, "/holds".to_owned(), body(json!("eu"))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid_request")));
    let (status, own) = call(Method::POST, "/holds".to_owned(), body(json!(null))).await;
    assert_eq!((status, &own["orgs"]), (StatusCode::CREATED, &json!(["default"])));
}

#[tokio::test]
async fn a_hold_of_another_org_does_not_protect_here() {
    let test = Setup::new()
        .env("PURGE__ORGS__EU__BASE_URL", "http://127.0.0.1:9")
        .env("PURGE__ORGS__EU__CLIENT_ID", "nobody")
        .env("PURGE__ORGS__EU__CLIENT_SECRET", "nothing")
        .start()
        .await;
    let ids = &test.ids_of(Kind::Eligible)[..2];
    let (status, _) =
        test.post("/holds", &json!({ "matter": "M", "conversationIds": ids, "org": "eu" })).await;
    assert_eq!(status, StatusCode::CREATED);
    let purge = test.purge_with(json!({ "conversationIds": ids, "org": "default" })).await;
    assert_eq!(test.finished(purge).await["counts"]["purged"], 2);
}

#[tokio::test]
async fn what_is_held_ends_on_hold_and_goes_with_a_new_purge_once_it_is_released() {
    let test = TestService::start().await;
    let ids = &test.ids_of(Kind::Eligible)[..4];
    let held = hold(&test, &ids[..2]).await;
    let purge = test.purge(ids).await;
    let body = test.finished(purge).await;
    assert_eq!((&body["state"], &body["counts"]["on_hold"]), (&json!("completed"), &json!(2)), "{body}");
    for row in &test.conversations(purge).await[..2] {
        assert_eq!(
            (&row["outcome"], &row["code"], &row["jobId"]),
            (&json!("on_hold"), &json!("legal_hold"), &json!(null))
        );
    }
    for &id in &ids[..2] {
        assert_eq!(submits(&test, id), []);
    }

    test.post(&format!("/holds/{}/release", held["id"].as_str().unwrap()), &json!({})).await;
    assert_eq!(test.get(&format!("/purges/{purge}")).await["counts"]["on_hold"], 2, "final stays final");
    let again = test.finished(test.purge(ids).await).await;
    assert_eq!((&again["counts"]["purged"], &again["counts"]["already_purged"]), (&json!(2), &json!(2)));
    test.assert_no_breach();
    assert_books(&test).await;
}

#[tokio::test]
async fn one_of_two_holds_is_enough_and_gone_is_gone_even_if_held() {
    let test = Setup::new().sandbox(|org| org.shares.deleted = 1.0).start().await;
    let (present, gone) = (test.ids_of(Kind::Eligible)[0], test.ids_of(Kind::Deleted)[0]);
    let first = hold(&test, &[present, gone]).await;
    hold(&test, &[present]).await;
    test.post(&format!("/holds/{}/release", first["id"].as_str().unwrap()), &json!({})).await;
    let rows = test.conversations({
        let purge = test.purge(&[present, gone]).await;
        test.finished(purge).await;
        purge
    });
    let rows = rows.await;
    assert_eq!((&rows[0]["outcome"], &rows[1]["outcome"]), (&json!("on_hold"), &json!("already_purged")));
}

#[tokio::test]
async fn a_hold_upon_what_was_submitted_names_it_and_the_time_from_which_all_is_quiet() {
    let test = Setup::new().sandbox(|org| org.job_duration.base_ms = 1500).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let (submitted, free) = (&ids[..3], &ids[3..6]);
    let purge = test.purge(submitted).await;
    eventually("upstream has the job", async || test.calls(Call::Submit, "200") == 1).await;

    let late = hold(&test, &[submitted, free].concat()).await;
    assert_eq!(ids_in(&late["tooLate"]), submitted.iter().copied().collect());
    let body = test.finished(purge).await;
    assert_eq!(body["counts"]["purged"], 3, "the live job runs to its end: {body}");

    let later = hold(&test, &[submitted, free].concat()).await;
    assert_eq!(ids_in(&later["tooLate"]), submitted.iter().copied().collect(), "purged is too late as well");
    let body = test.finished(test.purge(free).await).await;
    assert_eq!(body["counts"]["on_hold"], 3, "{body}");
    assert!(free.iter().all(|&id| submits(&test, id).is_empty()));
}

#[tokio::test]
async fn while_a_submit_is_on_its_way_a_hold_is_quiet_no_later_than_the_intent_lives() {
    let test = TestService::start().await;
    test.fault(json!({ "call": "submit", "times": 1, "when": "after", "fault": { "delayMs": 1000 } }));
    let id = test.ids_of(Kind::Eligible)[0];
    let purge = test.purge(&[id]).await;
    let mut connection = test.database.connect().await;
    let intent: (Timestamp, Timestamp) = loop {
        let row: Option<(jiff_sqlx::Timestamp, jiff_sqlx::Timestamp)> =
            sqlx::query_as("select call_before, clock_timestamp() from jobs where state = 'submitting'")
                .fetch_optional(&mut connection)
                .await
                .unwrap();
        if let Some((call_before, now)) = row {
            break (call_before.to_jiff(), now.to_jiff());
        }
    };
    let late = hold(&test, &[id]).await;
    assert_eq!(time_in(&late["quietAt"]), intent.0, "the deadline of the intent that was under way");
    let ttl = test.settings.engine.intent_ttl.as_secs_f64();
    assert!(intent.0.duration_since(intent.1).as_secs_f64() <= ttl);
    assert_eq!(ids_in(&late["tooLate"]), [id].into());
    test.finished(purge).await;
    assert!(submits(&test, id).iter().all(|&at| at <= intent.0));
}

#[tokio::test]
async fn a_submit_that_is_answered_while_the_hold_is_put_in_force_is_no_later_than_quiet() {
    let test = TestService::start().await;
    let mut connection = test.database.connect().await;
    // The activation takes its time, so that the call leaves and is recorded in the middle of it.
    for sql in [
        "create function slowly() returns trigger language plpgsql as
         $$ begin perform pg_sleep(1.2); return new; end $$",
        "create trigger slowly before update on holds for each row execute function slowly()",
    ] {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }
    test.fault(json!({ "call": "submit", "times": 1, "fault": { "delayMs": 600 } }));
    let id = test.ids_of(Kind::Eligible)[0];
    let purge = test.purge(&[id]).await;
    eventually("the intent is committed", async || {
        count(&mut connection, "select count(*) from jobs where state = 'submitting'").await == 1
    })
    .await;
    let late = hold(&test, &[id]).await;
    test.finished(purge).await;
    let (submits, quiet_at) = (submits(&test, id), time_in(&late["quietAt"]));
    assert!(submits.len() == 1 && submits[0] <= quiet_at, "went at {submits:?}, quiet at {quiet_at}");
    assert_eq!(ids_in(&late["tooLate"]), [id].into());
}

#[tokio::test]
async fn a_failed_job_gives_held_conversations_back_to_their_hold() {
    let test = Setup::new()
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "100ms")
        .sandbox(|org| {
            org.failed_share = 1.0;
            org.job_duration.base_ms = 800;
        })
        .start()
        .await;
    let ids = &test.ids_of(Kind::Eligible)[..2];
    let purge = test.purge(ids).await;
    eventually("upstream has the job", async || test.calls(Call::Submit, "200") == 1).await;
    let late = hold(&test, &ids[..1]).await;
    assert_eq!(ids_in(&late["tooLate"]), [ids[0]].into());
    let body = test.finished(purge).await;
    assert_eq!((&body["counts"]["on_hold"], &body["counts"]["failed"]), (&json!(1), &json!(1)), "{body}");
    let (held, other) = (submits(&test, ids[0]), submits(&test, ids[1]));
    assert_eq!((held.len(), other.len()), (1, 3), "the other had all its attempts");
    test.assert_no_breach();
    assert_books(&test).await;
}

/// Holds race against packing: each purge is held half while the engine works on it, over many connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_that_race_with_packing_are_exactly_before_or_after_each_intent() {
    const ROUNDS: usize = 160;
    let test = Setup::new()
        .sandbox(|org| {
            org.conversations = 6 * u32::try_from(ROUNDS).unwrap();
            org.max_concurrent_jobs = 1000;
            org.job_duration.base_ms = 20;
        })
        .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "20")
        .env("PURGE__DATABASE__MAX_CONNECTIONS", "16")
        .start()
        .await;
    let ids = test.ids_of(Kind::Eligible);
    // Some holds come at once and some when the submit is seen; the wait of the others is steered towards the very
    // moment of the intent.
    let wait_us = AtomicU64::new(20_000);
    let race = async |round: usize| {
        let own = &ids[round * 6..][..6];
        let purge = test.purge(own).await;
        match round % 4 {
            0 => {}
            1 => {
                let path = format!("/purges/{purge}");
                eventually("it was submitted", async || {
                    let counts = test.get(&path).await["counts"].clone();
                    counts["pending"] == 0 && counts["eligible"] == 0
                })
                .await;
            }
            _ => tokio::time::sleep(Duration::from_micros(wait_us.load(Ordering::Relaxed))).await,
        }
        let hold = hold(&test, &own[..3]).await;
        let came_too_late = hold["tooLate"] != json!([]);
        if round % 4 > 1 {
            let steer = |wait: u64| Some(if came_too_late { wait * 7 / 8 } else { wait * 8 / 7 + 100 });
            wait_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, steer).unwrap();
        }
        (purge, hold)
    };
    let mut rounds = Vec::new();
    for wave in (0..ROUNDS).collect::<Vec<_>>().chunks(8) {
        rounds.extend(futures_util::future::join_all(wave.iter().map(|&round| race(round))).await);
    }

    let (mut held_in_time, mut came_too_late) = (0, 0);
    for (round, (purge, hold)) in rounds.iter().enumerate() {
        test.finished(*purge).await;
        let (quiet_at, too_late) = (time_in(&hold["quietAt"]), ids_in(&hold["tooLate"]));
        let rows = test.conversations(*purge).await;
        for (row, &id) in rows.iter().zip(&ids[round * 6..][..3]) {
            let submits = submits(&test, id);
            assert!(
                submits.iter().all(|&at| at <= quiet_at),
                "{id} went at {submits:?}, quiet at {quiet_at}"
            );
            let expected = if too_late.contains(&id) { ("purged", 1) } else { ("on_hold", 0) };
            assert_eq!((row["outcome"].as_str().unwrap(), submits.len()), expected, "{id}: {hold}\n{row}");
            *(if too_late.contains(&id) { &mut came_too_late } else { &mut held_in_time }) += 1;
        }
        assert!(rows[3..].iter().all(|row| row["outcome"] == "purged"), "nobody holds these: {rows:#?}");
    }
    assert!(
        held_in_time > 60 && came_too_late > 60,
        "no race: {held_in_time} in time, {came_too_late} too late"
    );
    test.assert_no_breach();
    assert_books(&test).await;
}

/// The sharpest case: everything is packed and waits for its intent alone when the holds come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_upon_a_packed_job_takes_its_conversations_out_before_the_intent() {
    let mut test = Setup::new().role(Role::Api).start().await;
    let ids = test.ids_of(Kind::Eligible);
    // Upstream refuses submits for the moment, so that the job waits, packed, for its next intent.
    test.fault(json!({ "call": "submit", "times": 1, "fault": { "retryAfter": "2" } }));
    let purge = test.purge(&ids[..10]).await;
    test.stop_service().await;
    test.start_service().await;
    eventually("the submit was refused", async || test.calls(Call::Submit, "429") == 1).await;
    let mut connection = test.database.connect().await;
    eventually("the job waits again", async || {
        count(&mut connection, "select count(*) from jobs where state = 'waiting'").await == 1
    })
    .await;
    let held = hold(&test, &ids[..4]).await;
    assert_eq!(ids_in(&held["tooLate"]), BTreeSet::new(), "a definite no was no submit");
    let body = test.finished(purge).await;
    assert_eq!((&body["counts"]["on_hold"], &body["counts"]["purged"]), (&json!(4), &json!(6)), "{body}");
    assert!(ids[..4].iter().all(|&id| submits(&test, id).is_empty()));
    let jobs = test.get(&format!("/purges/{purge}/jobs")).await;
    assert_eq!((&jobs["items"][0]["attempt"], &jobs["items"][0]["conversations"]), (&json!(2), &json!(6)));
    test.assert_no_breach();
    assert_books(&test).await;
}
