//! The four calls when nothing was ordered to go wrong.

use super::*;

#[tokio::test]
async fn a_token_is_given_for_the_right_credentials_only() {
    let stage = Stage::set(plain()).await;
    let good = stage.ask_token("sandbox-client", "sandbox-secret", "client_credentials").await;
    assert_eq!(good.status, 200);
    assert_eq!((&good.body["token_type"], &good.body["expires_in"]), (&json!("bearer"), &json!(86_400)));
    assert_eq!(good.body["scope"], "analytics:conversation:delete");
    for (id, secret, grant, status) in [
        ("sandbox-client", "wrong", "client_credentials", 401),
        ("wrong", "sandbox-secret", "client_credentials", 401),
        ("sandbox-client", "sandbox-secret", "password", 400),
    ] {
        let bad = stage.ask_token(id, secret, grant).await;
        assert_eq!((bad.status, &bad.body["status"]), (status, &json!(status)), "{id} {secret} {grant}");
        assert!(bad.header("inin-correlation-id").is_some());
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_of_genesys() {
    let stage = Stage::set(plain()).await;
    let first = stage.details(&stage.some(Kind::Eligible, 1)).await;
    let second = stage.submit(&[]).await;
    assert_eq!((first.status, second.status), (200, 400));
    for (answer, count) in [(&first, "1"), (&second, "2")] {
        assert_eq!(answer.header("inin-ratelimit-count"), Some(count));
        assert_eq!(answer.header("inin-ratelimit-allowed"), Some("300"));
        assert_eq!(answer.header("inin-ratelimit-reset"), Some("60"));
        assert_eq!(answer.header("date"), Some("Sun, 01 Mar 2026 12:00:00 GMT"));
    }
    assert_ne!(first.header("inin-correlation-id"), second.header("inin-correlation-id"));
    assert_eq!(second.body["contextId"].as_str(), second.header("inin-correlation-id"));
}

#[tokio::test]
async fn details_show_each_kind_as_it_is() {
    let stage = Stage::set(Settings { date_skew_ms: -3_600_000, ..plain() }).await;
    let mut ids = Vec::new();
    for kind in Kind::ALL {
        ids.extend(stage.some(kind, 2));
    }
    ids.push(Uuid::nil());
    let answer = stage.details(&ids).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("date"), Some("Sun, 01 Mar 2026 11:00:00 GMT"), "the skew is in the header");
    let data = answer.body["data"].as_array().unwrap();
    assert_eq!(data.len(), 2 * (Kind::COUNT - 1), "all but the unknown ones");
    for record in data {
        let id: Uuid = record["conversationId"].as_str().unwrap().parse().unwrap();
        let kind = stage.sandbox().conversation(id).unwrap().kind;
        let hold = &record["customAttributes"]["legal_hold"];
        assert_eq!(*hold == json!(true) || *hold == json!("true"), kind == Kind::Held, "{record}");
        let end = record["conversationEnd"].as_str().map(str::parse::<Timestamp>);
        match kind {
            Kind::Active => assert!(end.is_none(), "{record}"),
            Kind::UnreadableEnd => assert!(end.unwrap().is_err(), "{record}"),
            _ => assert!(end.unwrap().is_ok(), "{record}"),
        }
        let status = record["conversationStatus"].as_str().unwrap();
        assert_eq!(["deleted", "purged"].contains(&status), kind == Kind::Deleted, "{record}");
    }
}

#[tokio::test]
async fn a_job_is_pending_then_in_progress_then_completed_and_its_conversations_are_gone() {
    let settings = Settings { job_unknown_ms: 50, deletion_lag_ms: 500, ..plain() };
    let stage = Stage::set(settings).await;
    let ids = stage.some(Kind::Eligible, 4);
    let job = stage.submit(&ids).await.body["jobId"].clone();
    assert_eq!(stage.poll(&job).await.status, 404, "unknown for a moment");
    for (step, state, processed) in
        [(50, "pending", 0), (450, "inProgress", 2), (499, "inProgress", 3), (1, "completed", 4)]
    {
        stage.clock.advance(Duration::from_millis(step));
        let answer = stage.poll(&job).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, json!({"jobId": job, "state": state, "recordsProcessed": processed}));
    }
    let status = |answer: &Answer| answer.body["data"][0]["conversationStatus"].clone();
    assert_eq!(stage.sandbox().truth().deleted, 4);
    assert_eq!(status(&stage.details(&ids[..1]).await), "completed", "it still looks present");
    stage.clock.advance(Duration::from_millis(500));
    assert_eq!(status(&stage.details(&ids[..1]).await), "deleted");
    stage.sandbox().patch_settings(json!({"deletedLooks": "absent"})).unwrap();
    assert_eq!(stage.details(&ids).await.body["data"], json!([]));
    assert!(stage.breaches().is_empty(), "{:?}", stage.breaches());
}

#[tokio::test]
async fn states_come_in_every_letter_case() {
    let stage = Stage::set(Settings { vary_letter_case: true, ..plain() }).await;
    let job = stage.submit(&stage.some(Kind::Eligible, 1)).await.body["jobId"].clone();
    stage.clock.advance(Duration::from_millis(500));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(stage.poll(&job).await.body["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["inProgress", "InProgress", "inprogress", "INPROGRESS"]);
}

#[tokio::test]
async fn a_batch_with_a_protected_conversation_is_rejected_as_a_whole() {
    let stage = Stage::set(plain()).await;
    let good = stage.some(Kind::Eligible, 2);
    let (named, unnamed) = (stage.some(Kind::ConflictNamed, 1)[0], stage.some(Kind::ConflictUnnamed, 1)[0]);
    let answer = stage.submit(&[good[0], named, good[1]]).await;
    assert_eq!(answer.status, 409);
    let details = answer.body["details"].as_array().unwrap();
    assert_eq!(details.len(), 1);
    assert_eq!(details[0]["entityId"], json!(named));
    assert_eq!(answer.body["entityId"], json!(named));
    let answer = stage.submit(&[good[0], unnamed]).await;
    assert_eq!((answer.status, &answer.body["details"]), (409, &json!([])));
    assert!(stage.breaches().is_empty(), "a conflict can't be foreseen");
    assert_eq!(stage.sandbox().truth().live_jobs, 0);
    assert_eq!(stage.submit(&stage.some(Kind::Held, 1)).await.status, 409);
    assert_eq!(stage.breaches(), [Rule::ProtectedIdSubmitted]);
}

#[tokio::test]
async fn what_is_wrong_with_a_submit_has_its_status_and_its_breach() {
    let stage = Stage::set(Settings { max_batch: 3, ..plain() }).await;
    let ids = stage.some(Kind::Eligible, 4);
    let unknown = stage.some(Kind::Unknown, 1)[0];
    for (body, status, rule) in [
        (json!({"conversationIds": ids, "permanentDelete": true}), 413, Some(Rule::BatchTooLarge)),
        (json!({"conversationIds": [], "permanentDelete": true}), 400, None),
        (json!({"conversationIds": [ids[0]]}), 400, Some(Rule::PermanentDeleteMissing)),
        (
            json!({"conversationIds": [ids[0]], "permanentDelete": false}),
            400,
            Some(Rule::PermanentDeleteMissing),
        ),
        (
            json!({"conversationIds": [ids[0], ids[0]], "permanentDelete": true}),
            400,
            Some(Rule::DuplicateIdInBatch),
        ),
        (
            json!({"conversationIds": [unknown], "permanentDelete": true}),
            400,
            Some(Rule::ProtectedIdSubmitted),
        ),
        (json!({"conversationIds": ["nonsense"], "permanentDelete": true}), 400, None),
        (json!({"conversationIds": "all", "permanentDelete": true}), 400, None),
        (json!([]), 400, None),
    ] {
        stage.sandbox().forget_calls();
        let request = stage.http.post(stage.url(&format!("{BASE}/purge"))).bearer_auth(&stage.token);
        let answer = Answer::of(request.json(&body).send().await.unwrap()).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.body["message"].is_string() && answer.body["code"].is_string(), "{}", answer.body);
        assert_eq!(stage.breaches(), Vec::from_iter(rule), "{body}");
    }
    assert_eq!(stage.sandbox().report(0, 500).jobs.jobs, 0);
    let large = stage.http.post(stage.url(&format!("{BASE}/purge"))).body(vec![b' '; 2 << 20]);
    assert_eq!(large.send().await.unwrap().status(), 413, "the body alone is too large");
}

#[tokio::test]
async fn tokens_expire_are_revoked_and_lose_their_scope() {
    let mut stage = Stage::set(Settings { token_lifetime_seconds: 60, ..plain() }).await;
    let ids = stage.some(Kind::Eligible, 1);
    let first = std::mem::replace(&mut stage.token, "made-up".to_owned());
    assert_eq!(stage.details(&ids).await.status, 401);
    stage.token = first;
    assert_eq!(stage.details(&ids).await.status, 200);
    stage.clock.advance(Duration::from_secs(65));
    assert_eq!(stage.details(&ids).await.status, 401);
    assert!(stage.breaches().is_empty(), "within the grace of five seconds");
    stage.clock.advance(Duration::from_millis(1));
    assert_eq!(stage.submit(&ids).await.status, 401);
    assert_eq!(stage.breaches(), [Rule::ExpiredTokenUsed]);

    stage.token = stage.new_token().await;
    stage.sandbox().patch_settings(json!({"scope": "users:view"})).unwrap();
    let refused = stage.submit(&ids).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("missing.permissions")));
    assert_eq!(refused.body["messageParams"]["permissions"], "analytics:conversation:delete");
    stage.sandbox().patch_settings(json!({"scope": null})).unwrap();
    assert_eq!(stage.submit(&ids).await.status, 200);
    assert_eq!(stage.sandbox().revoke_tokens(), 2);
    assert_eq!(stage.details(&ids).await.status, 401);
}

#[tokio::test]
async fn the_rate_limit_refuses_and_who_comes_back_too_early_is_noted() {
    let stage = Stage::set(Settings { requests_per_minute: 2, ..plain() }).await;
    let ids = stage.some(Kind::Eligible, 1);
    assert_eq!(stage.details(&ids).await.status, 200);
    stage.clock.advance(Duration::from_secs(50));
    assert_eq!(stage.details(&ids).await.status, 200);
    let over = stage.details(&ids).await;
    assert_eq!((over.status, over.header("retry-after")), (429, Some("10")));
    assert!(over.body["message"].as_str().unwrap().contains("Retry the request in [10] seconds"));
    assert_eq!(stage.breaches(), [Rule::TooManyCallsAMinute]);
    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(stage.details(&ids).await.status, 429);
    assert_eq!(stage.breaches(), [Rule::TooManyCallsAMinute, Rule::CallBeforeRetryAfter]);
    stage.sandbox().forget_calls();
    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(stage.details(&ids).await.status, 200, "the wait is over");
    assert!(stage.breaches().is_empty());
}

#[tokio::test]
async fn a_full_upstream_answers_429_until_a_job_ends() {
    let stage = Stage::set(Settings { max_concurrent_jobs: 1, ..plain() }).await;
    let ids = stage.some(Kind::Eligible, 2);
    assert_eq!(stage.submit(&ids[..1]).await.status, 200);
    let full = stage.submit(&ids[1..]).await;
    assert_eq!((full.status, full.header("retry-after")), (429, Some("1")));
    assert_eq!(stage.breaches(), [Rule::TooManyLiveJobs]);
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.submit(&ids[1..]).await.status, 200);
}

#[tokio::test]
async fn jobs_fail_and_stop_half_way_as_often_as_set() {
    let stage = Stage::set(Settings { failed_share: 1.0, ..plain() }).await;
    let ids = stage.some(Kind::Eligible, 20);
    let failed = stage.submit(&ids[..10]).await.body["jobId"].clone();
    stage.sandbox().patch_settings(json!({"failedShare": 0.0, "partialShare": 1.0})).unwrap();
    let partial = stage.submit(&ids[10..]).await.body["jobId"].clone();
    stage.clock.advance(Duration::from_secs(1));
    let answer = stage.poll(&failed).await.body;
    assert_eq!((&answer["state"], &answer["recordsProcessed"]), (&json!("failed"), &json!(0)));
    let processed = stage.poll(&partial).await.body["recordsProcessed"].as_u64().unwrap();
    assert!((1..10).contains(&processed));
    let data = stage.details(&ids).await.body["data"].clone();
    let gone = data.as_array().unwrap().iter().filter(|record| record["conversationStatus"] == "deleted");
    assert_eq!(gone.count() as u64, processed, "recordsProcessed says how many");
}

#[tokio::test]
async fn a_left_out_id_is_left_out_once() {
    let stage = Stage::set(Settings { leave_out_share: 1.0, ..plain() }).await;
    let ids = stage.some(Kind::Eligible, 500);
    let mut missing = std::collections::HashMap::new();
    for _ in 0..20 {
        let data = stage.details(&ids).await.body["data"].clone();
        let shown: Vec<Uuid> = data
            .as_array()
            .unwrap()
            .iter()
            .map(|record| record["conversationId"].as_str().unwrap().parse().unwrap())
            .collect();
        for id in ids.iter().filter(|id| !shown.contains(id)) {
            *missing.entry(*id).or_insert(0) += 1;
        }
    }
    assert!(missing.len() > 50, "{}", missing.len());
    assert!(missing.values().all(|times| *times == 1));
}
