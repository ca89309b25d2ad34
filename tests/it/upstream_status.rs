//! The status table of upstream, row by row, on each call where it can happen: what became of the purge and of
//! bystanders, and how often upstream was called.

use genesys_purge::sandbox::{Call, Kind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::trouble::{endings, strikes};
use crate::support::{Setup, TestService};

const CALLS: [(&str, Call); 3] = [("details", Call::Details), ("submit", Call::Submit), ("poll", Call::Poll)];

/// One attempt is allowed, so trouble that counted as one would end the purge.
fn strict() -> Setup {
    Setup::new().env("PURGE__ENGINE__MAX_ATTEMPTS", "1")
}

async fn completes(test: &TestService, ids: &[Uuid]) -> Uuid {
    let purge = test.purge(ids).await;
    let body = test.finished(purge).await;
    assert_eq!(body["state"], "completed", "{body}");
    purge
}

#[tokio::test]
async fn a_token_that_was_refused_once_is_renewed_once() {
    for (name, call) in CALLS {
        let test = strict().start().await;
        test.fault(strikes(name, 1, &json!({ "status": 401 })));
        let ids = &test.ids_of(Kind::Eligible)[..4];
        let purge = completes(&test, ids).await;

        assert_eq!(test.endings(purge).await, endings([("purged gone", 4)]), "{name}");
        assert_eq!(test.calls(call, "401"), 1, "{name}");
        assert_eq!(test.calls(Call::Token, "200"), 2, "{name}");
        assert_eq!(test.calls(Call::Submit, "200"), 1, "{name}");
        assert_eq!(test.number("select count(*) from orgs where blocked_at is not null").await, 0, "{name}");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn revoked_tokens_cost_one_renewal_for_all_calls_in_flight() {
    let setup = strict().env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false");
    let test = setup.sandbox(|settings| settings.job_duration.base_ms = 700).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let mut purges = Vec::new();
    for ids in ids[..5].chunks(1) {
        purges.push(test.purge(ids).await);
    }
    test.wait_until("five live jobs", async || test.calls(Call::Submit, "200") == 5).await;
    assert_eq!(test.sandbox.sandbox().revoke_tokens(), 1);
    for purge in purges {
        assert_eq!(test.finished(purge).await["state"], "completed");
    }
    assert_eq!(test.calls(Call::Token, "200"), 2);
    test.assert_purged_once(&ids[..5]);
}

#[tokio::test]
async fn no_answer_that_can_be_read_to_a_question_or_a_poll_costs_only_another_one() {
    let faults = [
        json!({ "status": 408 }),
        json!({ "status": 500 }),
        json!({ "status": 502 }),
        json!({ "status": 503 }),
        json!({ "status": 504 }),
        json!({ "reset": "before" }),
        json!({ "reset": "after" }),
        json!({ "garbage": "html" }),
        json!({ "garbage": "cutJson" }),
        json!({ "garbage": "cutBody" }),
        json!({ "garbage": "empty" }),
        json!({ "garbage": "wrongShape" }),
        json!({ "delayMs": 300 }),
    ];
    for name in ["details", "poll"] {
        let setup = strict()
            .env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false")
            .env("PURGE__ORGS__DEFAULT__MAX_CONCURRENT_JOBS", "13")
            .sandbox(|settings| settings.max_concurrent_jobs = 13);
        let test = setup.start().await;
        for fault in &faults {
            test.fault(strikes(name, 1, fault));
        }
        let ids = test.ids_of(Kind::Eligible);
        let mut purges = Vec::new();
        for ids in ids[..26].chunks(2) {
            purges.push(test.purge(ids).await);
        }
        for purge in purges {
            let body = test.finished(purge).await;
            assert_eq!(body["state"], "completed", "{name}: {body}");
            assert_eq!(test.endings(purge).await, endings([("purged gone", 2)]), "{name}");
        }
        test.assert_all_struck();
        // A question that was answered in part lets go ahead what it was told of.
        let most = if name == "details" { 26 } else { 13 };
        assert!((13..=most).contains(&test.log(Call::Submit).len()), "{name}");
        test.assert_purged_once(&ids[..26]);
        test.end().await;
    }
}

#[tokio::test]
async fn two_polls_that_find_no_job_are_no_answer_and_the_third_is() {
    for (misses, result) in [(2, "completed"), (3, "lost")] {
        let test = strict().start().await;
        test.fault(strikes("poll", misses, &json!({ "status": 404 })));
        let ids = &test.ids_of(Kind::Eligible)[..3];
        let purge = completes(&test, ids).await;

        assert_eq!(test.endings(purge).await, endings([("purged gone", 3)]), "what is gone is gone");
        let job = &test.jobs(purge).await[0];
        assert_eq!(job["result"], result, "{job}");
        assert_eq!(test.log(Call::Poll).len(), 3);
        assert_eq!(test.log(Call::Submit).len(), 1);
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn a_poll_that_is_refused_as_wrong_fails_nothing() {
    for status in [400, 405, 410, 422, 501] {
        let test = strict().start().await;
        test.fault(strikes("poll", 1, &json!({ "status": status })));
        let ids = &test.ids_of(Kind::Eligible)[..2];
        completes(&test, ids).await;
        assert_eq!(test.log(Call::Submit).len(), 1, "{status}");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn a_submit_that_this_upstream_does_not_do_fails_its_job_alone() {
    let test = strict().start().await;
    let ids = test.ids_of(Kind::Eligible);
    for (number, status) in [402, 410, 415].into_iter().enumerate() {
        let body = json!({ "message": "No.", "code": "no.such.thing", "contextId": "context-7" });
        test.fault(strikes("submit", 1, &json!({ "status": status, "body": body.to_string() })));
        let ids = &ids[number * 3..number * 3 + 3];
        let purge = test.purge(ids).await;

        let body = test.finished(purge).await;
        assert_eq!(body["state"], "failed", "{status}: {body}");
        assert_eq!(test.endings(purge).await, endings([("failed no.such.thing", 3)]), "{status}");
        for row in test.conversations(purge).await {
            let detail = row["detail"].as_str().unwrap();
            assert!(detail.contains(&status.to_string()) && detail.contains("context-7"), "{row}");
        }
        let jobs = test.jobs(purge).await;
        assert_eq!((jobs.len(), &jobs[0]["result"]), (1, &json!("rejected")), "{status}");
        assert_eq!(jobs[0]["lastError"]["contextId"], "context-7", "{status}");
        test.assert_untouched(ids);
    }
    completes(&test, &ids[50..60]).await;
    test.assert_purged_once(&ids[50..60]);
}

#[tokio::test]
async fn a_batch_that_is_refused_as_wrong_is_halved_and_goes_through() {
    for status in [400, 413, 422] {
        let test = strict().start().await;
        // The whole, then both halves: the quarters pass.
        test.fault(strikes("submit", 3, &json!({ "status": status })));
        let ids = &test.ids_of(Kind::Eligible)[..8];
        let purge = completes(&test, ids).await;

        assert_eq!(test.endings(purge).await, endings([("purged gone", 8)]), "{status}");
        let sizes: Vec<usize> = test.log(Call::Submit).iter().map(|entry| entry.ids).collect();
        assert_eq!(&sizes[3..], [2, 2, 2, 2], "{status}");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

#[tokio::test]
async fn one_poison_id_of_a_batch_fails_alone_with_the_code_of_upstream() {
    let test = strict().start().await;
    let all = test.ids_of(Kind::Eligible);
    let (ids, poison) = (&all[..16], all[5]);
    // The submit is held up until the id has turned into one that upstream does not know.
    test.fault(strikes("submit", 1, &json!({ "delayMs": 800 })));
    let purge = test.purge(ids).await;
    test.purge_when(purge, |body| body["counts"]["submitted"] == 16).await;
    test.sandbox.sandbox().set_kind(poison, Kind::Unknown).unwrap();

    let body = test.finished(purge).await;
    assert_eq!(body["state"], "failed", "{body}");
    assert_eq!(test.endings(purge).await, endings([("purged gone", 15), ("failed unknown.conversation", 1)]));
    let rows = test.conversations(purge).await;
    let row = rows.iter().find(|row| row["conversationId"] == json!(poison)).unwrap();
    let refused = test.log(Call::Submit).into_iter().rfind(|entry| entry.ids <= 1).unwrap();
    let context = refused.correlation_id.to_string();
    assert_eq!(row["outcome"], "failed");
    assert!(row["detail"].as_str().unwrap().contains(&context), "{row} {refused:?}");
    assert!(test.log(Call::Submit).len() <= 1 + 2 * 4, "{:#?}", test.log(Call::Submit));
    let others: Vec<Uuid> = ids.iter().copied().filter(|id| *id != poison).collect();
    test.assert_purged_once(&others);
}

#[tokio::test]
async fn one_poison_id_of_a_question_fails_alone_with_the_code_of_upstream() {
    for status in [400, 413, 422] {
        let test = strict().start().await;
        let body = json!({ "message": "No.", "code": "bad.id", "contextId": "context-9" });
        // Four ids, two, one: the first of all.
        test.fault(strikes("details", 3, &json!({ "status": status, "body": body.to_string() })));
        let ids = &test.ids_of(Kind::Eligible)[..4];
        let purge = test.purge(ids).await;

        assert_eq!(test.finished(purge).await["state"], "failed", "{status}");
        assert_eq!(
            test.endings(purge).await,
            endings([("purged gone", 3), ("failed bad.id", 1)]),
            "{status}"
        );
        let rows = test.conversations(purge).await;
        assert_eq!(rows[0]["outcome"], "failed", "{status}: {rows:?}");
        assert!(rows[0]["detail"].as_str().unwrap().contains("context-9"), "{rows:?}");
        test.assert_untouched(&ids[..1]);
        test.assert_purged_once(&ids[1..]);
        test.end().await;
    }
}

#[tokio::test]
async fn a_token_call_that_fails_costs_only_time() {
    for fault in [
        json!({ "status": 500 }),
        json!({ "status": 503 }),
        json!({ "retryAfter": "1" }),
        json!({ "reset": "before" }),
        json!({ "reset": "after" }),
        json!({ "garbage": "html" }),
        json!({ "garbage": "wrongShape" }),
        json!({ "garbage": "empty" }),
    ] {
        let test = strict().start().await;
        test.fault(strikes("token", 1, &fault));
        let ids = &test.ids_of(Kind::Eligible)[..2];
        completes(&test, ids).await;
        test.assert_all_struck();
        assert_eq!(test.log(Call::Token).len(), 2, "{fault}");
        assert_eq!(test.log(Call::Submit).len(), 1, "{fault}");
        test.assert_purged_once(ids);
        test.end().await;
    }
}

/// Longer than the second that a permit is good for.
#[tokio::test]
async fn a_login_that_takes_its_time_is_asked_once() {
    let test = strict().start().await;
    test.fault(json!({ "call": "token", "fault": { "delayMs": 1300 } }));
    let ids = &test.ids_of(Kind::Eligible)[..2];
    completes(&test, ids).await;
    assert_eq!((test.log(Call::Token).len(), test.log(Call::Submit).len()), (1, 1));
    test.assert_purged_once(ids);
}

#[tokio::test]
async fn a_login_that_fails_is_asked_by_one_for_all_and_less_and_less_often() {
    let test = strict().env("PURGE__ORGS__DEFAULT__MIX_PURGES", "false").start().await;
    let ids = test.ids_of(Kind::Eligible);
    test.fault(strikes("token", 2, &json!({ "status": 503 })));
    let mut purges = Vec::new();
    for ids in ids[..10].chunks(1) {
        purges.push(test.purge(ids).await);
    }
    for purge in purges {
        assert_eq!(test.finished(purge).await["state"], "completed");
    }
    let logins = test.log(Call::Token);
    let waits = logins.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at).as_secs_f64());
    let waits: Vec<f64> = waits.collect();
    assert!(waits.len() == 2 && waits[0] >= 1.0 && waits[1] >= 2.0, "{waits:?}");
    test.assert_purged_once(&ids[..10]);
}

/// What `Retry-After` may hold, and the shortest and longest silence in seconds that it may lead to.
fn odd_waits() -> Vec<(Value, f64, f64)> {
    vec![
        (json!("0"), 1.0, 4.0),
        (json!("-5"), 1.0, 4.0),
        (json!("0.2"), 1.0, 4.0),
        (json!("Wed, 21 Oct 2015 07:28:00 GMT"), 1.0, 4.0),
        (json!("soon"), 0.5, 4.0),
        (json!(["1", "2"]), 2.0, 5.0),
        (json!("1.5, 1"), 1.5, 5.0),
    ]
}

#[tokio::test]
async fn every_odd_retry_after_silences_the_org_for_a_sane_time_and_counts_for_nothing() {
    for (name, call) in CALLS {
        let test = strict().start().await;
        let ids = test.ids_of(Kind::Eligible);
        // Each call meets only some of the values; all three together meet each.
        let offset = CALLS.iter().position(|(other, _)| *other == name).unwrap();
        for (number, (value, shortest, longest)) in
            odd_waits().into_iter().enumerate().skip(offset).step_by(3)
        {
            test.sandbox.sandbox().forget_calls();
            test.fault(strikes(name, 1, &json!({ "retryAfter": value })));
            let ids = &ids[number * 3..number * 3 + 3];
            let purge = completes(&test, ids).await;

            assert_eq!(test.endings(purge).await, endings([("purged gone", 3)]), "{name} {value}");
            let log = test.sandbox.sandbox().report(usize::MAX, 500).last;
            let refused = log.iter().position(|entry| entry.status.to_string() == "429").unwrap();
            let silence = log[refused + 1].at.duration_since(log[refused].at).as_secs_f64();
            assert!((shortest..longest).contains(&silence), "{name} {value}: {silence} s");
            assert_eq!(test.calls(call, "429"), 1, "{name} {value}");
            assert_eq!(test.calls(Call::Submit, "200"), 1, "{name} {value}");
            test.assert_purged_once(ids);
        }
        test.end().await;
    }
}

#[tokio::test]
async fn an_absurd_retry_after_silences_the_org_for_an_hour_at_most() {
    for value in ["99999999999", "Tue, 31 Dec 2999 23:59:59 GMT"] {
        let test = strict().start().await;
        test.fault(strikes("submit", 1, &json!({ "retryAfter": value })));
        let ids = &test.ids_of(Kind::Eligible)[..3];
        let purge = test.purge(ids).await;
        test.wait_until("the silence", async || {
            test.number("select count(*) from limiters where closed_until > clock_timestamp()").await == 1
        })
        .await;
        let seconds = "select extract(epoch from closed_until - clock_timestamp())::bigint from limiters";
        let seconds = test.number(seconds).await;
        assert!((3_500..=3_600).contains(&seconds), "{value}: {seconds} s");
        let body = test.purge_when(purge, |body| body["counts"]["submitted"] == 0).await;
        assert_eq!(body["counts"]["eligible"], 3, "{body}");

        test.probe_now().await;
        assert_eq!(test.finished(purge).await["state"], "completed");
        assert_eq!(test.calls(Call::Submit, "200"), 1);
        for id in ids {
            // The test itself cut the silence short, so the sandbox has something to complain of.
            assert!(test.sandbox.sandbox().conversation(*id).unwrap().deleted_at.is_some());
        }
        test.end().await;
    }
}

#[tokio::test]
async fn the_number_in_the_message_is_kept_where_no_header_tells_one() {
    let test = strict().start().await;
    let body =
        json!({ "message": "Rate limit exceeded. Retry the request in [2] seconds", "code": "too.many" });
    test.fault(strikes("submit", 1, &json!({ "status": 429, "body": body.to_string() })));
    completes(&test, &test.ids_of(Kind::Eligible)[..1]).await;
    let submits = test.log(Call::Submit);
    let silence = submits[1].at.duration_since(submits[0].at).as_secs_f64();
    assert!((2.0..5.0).contains(&silence), "{silence} s");
}
