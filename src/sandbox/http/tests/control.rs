//! The control calls, and what they say.

use reqwest::Method;

use super::*;

#[tokio::test]
async fn settings_change_while_it_runs() {
    let stage = Stage::set(plain()).await;
    let patched = stage.control(Method::PATCH, "/settings", Some(json!({"maxBatch": 1}))).await;
    assert_eq!((patched.status, &patched.body["maxBatch"]), (200, &json!(1)));
    assert_eq!(stage.submit(&stage.some(Kind::Eligible, 2)).await.status, 413);
    let wrong = stage.control(Method::PATCH, "/settings", Some(json!({"maxBach": 1}))).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.body["message"].as_str().unwrap().contains("maxBach"));
    let put = stage.control(Method::PUT, "/settings", Some(json!({"seed": 9}))).await;
    assert_eq!((&put.body["seed"], &put.body["maxBatch"]), (&json!(9), &json!(1000)));
    assert_eq!(stage.control(Method::GET, "/settings", None).await.body, put.body);
}

#[tokio::test]
async fn another_population_forgets_the_old_ones_jobs() {
    let stage = Stage::set(plain()).await;
    let old = stage.some(Kind::Eligible, 1)[0];
    assert_eq!(stage.submit(&[old]).await.status, 200);
    stage.sandbox().patch_settings(json!({"conversations": 10})).unwrap();
    assert_eq!(stage.sandbox().truth().live_jobs, 0);
    assert_eq!(stage.sandbox().ids().count(), 10);
    stage.sandbox().patch_settings(json!({"seed": 2})).unwrap();
    assert_eq!(stage.sandbox().expected_outcome(old), None);
    assert_eq!(stage.details(&[old]).await.body["data"], json!([]), "the token is still good");
}

#[tokio::test]
async fn fault_rules_are_added_listed_and_taken_away() {
    let stage = Stage::set(plain()).await;
    let rule = json!({"call": "poll", "fault": {"status": 500}});
    for id in [1, 2] {
        let added = stage.control(Method::POST, "/faults", Some(rule.clone())).await;
        assert_eq!((added.status, added.body), (201, json!({"id": id})));
    }
    let refused = stage.control(Method::POST, "/faults", Some(json!({"call": "poll", "fault": {}}))).await;
    assert_eq!(refused.status, 400);
    assert_eq!(stage.control(Method::DELETE, "/faults/1", None).await.status, 204);
    assert_eq!(stage.control(Method::DELETE, "/faults/1", None).await.status, 404);
    assert_eq!(stage.control(Method::GET, "/faults", None).await.body.as_array().unwrap().len(), 1);
    assert_eq!(stage.control(Method::DELETE, "/faults", None).await.status, 204);
    assert_eq!(stage.control(Method::GET, "/faults", None).await.body, json!([]));
}

#[tokio::test]
async fn the_truth_adds_up_and_agrees_with_the_streams() {
    let stage = Stage::set(plain()).await;
    let truth = stage.control(Method::GET, "/truth", None).await.body;
    let sum = |counts: &Value| counts.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum(&truth["kinds"]), sum(&truth["expected"])), (2000, 2000));
    assert_eq!(truth["expected"]["purged"], truth["kinds"]["eligible"]);

    let text = |path: &str| stage.http.get(stage.url(path)).send();
    let csv = text("/sandbox/conversations?format=csv").await.unwrap().text().await.unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("conversationId,mediaType"));
    let listed: Vec<Uuid> = lines.map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(listed, stage.sandbox().ids().collect::<Vec<_>>());

    let outcomes = text("/sandbox/truth/outcomes").await.unwrap().text().await.unwrap();
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for line in outcomes.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        *counts.entry(line["expectedOutcome"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(json!(counts), truth["expected"]);

    let held = text("/sandbox/conversations?format=ndjson&kind=held").await.unwrap().text().await.unwrap();
    assert_eq!(held.lines().count() as u64, truth["kinds"]["held"].as_u64().unwrap());
    assert_eq!(text("/sandbox/conversations?format=xml").await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_conversation_tells_its_story_and_takes_another_kind_until_it_is_too_late() {
    let stage = Stage::set(plain()).await;
    let ids = stage.some(Kind::Eligible, 2);
    let path = |id: Uuid| format!("/conversations/{id}");
    let hold = Some(json!({"kind": "held"}));
    let patched = stage.control(Method::PATCH, &path(ids[0]), hold.clone()).await;
    assert_eq!((patched.status, &patched.body["expectedOutcome"]), (200, &json!("on_hold")));
    let truth = stage.sandbox().truth();
    assert_eq!(truth.kinds[&Kind::Held], 161);
    assert_eq!(stage.submit(&ids[..1]).await.status, 409);

    let job = stage.submit(&ids[1..]).await.body["jobId"].clone();
    assert_eq!(stage.control(Method::PATCH, &path(ids[1]), hold.clone()).await.status, 409, "it runs");
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(stage.control(Method::PATCH, &path(ids[1]), hold).await.status, 409, "it has deleted");
    let story = stage.control(Method::GET, &path(ids[1]), None).await.body;
    assert_eq!(story["deletedAt"], "2026-03-01T12:00:01Z");
    assert_eq!((&story["jobs"][0]["jobId"], &story["jobs"][0]["deletes"]), (&job, &json!(true)));
    assert_eq!(stage.control(Method::GET, &path(Uuid::nil()), None).await.status, 404);
    assert_eq!(stage.control(Method::GET, "/conversations/x", None).await.status, 400);
}

#[tokio::test]
async fn the_record_of_calls_counts_and_measures() {
    let stage = Stage::set(plain()).await;
    let ids = stage.some(Kind::Eligible, 30);
    stage.details(&ids).await;
    let job = stage.submit(&ids[..20]).await.body["jobId"].clone();
    stage.submit(&ids[20..]).await;
    stage.submit(&ids[20..]).await;
    stage.poll(&job).await;
    let report = stage.control(Method::GET, "/calls?last=1&fullSize=20", None).await.body;
    assert_eq!(
        report["counts"],
        json!({
            "token": {"200": 1}, "details": {"200": 1}, "submit": {"200": 3}, "poll": {"200": 1}
        })
    );
    assert_eq!(report["jobs"]["jobs"], 3);
    assert_eq!((&report["jobs"]["smallest"], &report["jobs"]["largest"]), (&json!(10), &json!(20)));
    assert_eq!((&report["jobs"]["mostLive"], &report["jobs"]["callsPerJob"]), (&json!(3), &json!(2.0)));
    assert!((report["jobs"]["fullness"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    assert_eq!(report["breachCounts"], json!({"id_in_two_live_jobs": 1}));
    assert_eq!(report["breaches"][0]["evidence"]["count"], 10);
    let last = report["last"].as_array().unwrap();
    assert_eq!(last.len(), 1);
    assert_eq!(
        (&last[0]["call"], &last[0]["status"], &last[0]["jobId"]),
        (&json!("poll"), &json!(200), &job)
    );
    assert_eq!(stage.control(Method::DELETE, "/calls", None).await.status, 204);
    assert_eq!(stage.control(Method::GET, "/calls", None).await.body["counts"], json!({}));
    assert_eq!(stage.control(Method::GET, "/calls?lats=1", None).await.status, 400);
    assert_eq!(stage.control(Method::DELETE, "/tokens", None).await.body, json!({"revoked": 1}));
}

#[tokio::test]
async fn what_is_not_there_is_a_404_of_the_usual_shape() {
    let stage = Stage::set(plain()).await;
    let answer = Answer::of(stage.http.get(stage.url("/api/v2/users")).send().await.unwrap()).await;
    assert_eq!((answer.status, &answer.body["status"]), (404, &json!(404)));
}
