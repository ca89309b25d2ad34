//! One token for all calls: granted, shared, refused, renewed.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::{Notify, oneshot};

use super::*;

/// Answers polls with 401 unless they carry one of these tokens.
fn accepting(tokens: &'static [&str]) -> impl FnMut(&Seen) -> Act + Send + 'static {
    move |seen| {
        let token = seen.headers["authorization"].trim_start_matches("Bearer ");
        if tokens.contains(&token) {
            json_answer(200, &json!({"state": "pending", "jobId": "j-1"}))
        } else {
            json_answer(401, &json!({"code": "bad.credentials", "message": "Invalid login credentials."}))
        }
    }
}

#[tokio::test]
async fn fifty_calls_share_one_token() {
    let upstream = upstream(accepting(&["t-0"])).await;
    let driver = driver(&upstream);
    let results = join_all((0..50).map(|_| driver.poll("j-1", permit()))).await;
    assert!(results.iter().all(|answer| answer.result.is_ok()));
    assert_eq!(upstream.seen_by(TOKEN).len(), 1);
    let life = driver.token_life().unwrap();
    assert!(life.expires_in + life.age <= Duration::from_hours(24));
    assert!(life.expires_in > Duration::from_hours(23));
}

#[tokio::test]
async fn fifty_refusals_of_one_token_cost_one_renewal() {
    let upstream = upstream(accepting(&["t-1"])).await;
    let driver = driver(&upstream);
    driver.ready(Lane::Query).await.unwrap();
    let results = join_all((0..50).map(|_| driver.poll("j-1", permit()))).await;
    assert!(results.iter().any(|answer| matches!(answer.result, Err(Failure::TokenRefused(_)))));
    assert!(
        results.iter().all(|answer| matches!(answer.result, Ok(_) | Err(Failure::TokenRefused(_)))),
        "{results:?}"
    );
    assert!(driver.poll("j-1", permit()).await.result.is_ok());
    assert_eq!(upstream.seen_by(TOKEN).len(), 2);
}

#[tokio::test]
async fn a_failed_login_is_shared_by_all_that_come_before_the_next() {
    type Headers = &'static [(&'static str, &'static str)];
    // (status, headers, what the next waits for at least and at most, in seconds)
    let cases: &[(u16, Headers, u64, u64)] = &[
        (429, &[], 0, 1),
        (429, &[("retry-after", "40")], 39, 40),
        (503, &[], 0, 1),
        (503, &[("retry-after", "40")], 39, 40),
        (503, &[("retry-after", "soon")], 0, 1),
        (503, &[("retry-after", "86400")], 3599, 3600),
        (401, &[], 0, 1),
        (200, &[], 0, 1),
    ];
    for (status, headers, least, most) in cases {
        let upstream = RawUpstream::start(move |_| Act::Answer(answer(*status, headers, "busy"))).await;
        let driver = driver(&upstream);
        assert_eq!(driver.login_trouble(), None);
        let first = join_all((0..50).map(|_| driver.ready(Lane::Query))).await;
        let calls = join_all((0..50).map(|_| driver.poll("j-1", permit()))).await;
        let kinds: HashSet<_> = first
            .iter()
            .map(|ready| std::mem::discriminant(&ready.as_ref().unwrap_err().failure))
            .chain(calls.iter().map(|call| std::mem::discriminant(call.result.as_ref().unwrap_err())))
            .collect();
        assert_eq!((kinds.len(), upstream.seen().len()), (1, 1), "{status}: one login for all");
        let again_in = first.last().unwrap().as_ref().unwrap_err().again_in;
        assert!((*least..=*most).contains(&again_in.as_secs()), "{status} {headers:?}: {again_in:?}");
        let trouble = driver.login_trouble().unwrap();
        assert_eq!((trouble.since, trouble.detail.status), (wall_clock()(), Some(*status)));
        assert!(trouble.next_try_in <= again_in);
        if *status == 429 {
            let Err(Failure::Throttled { wait, .. }) = &calls[0].result else { panic!("{calls:?}") };
            assert!((*least..=*most).contains(&wait.unwrap().as_secs()), "the rest of the wait: {wait:?}");
        }
    }
}

/// Each caller waits for a tenth of what the login takes, as under a permit.
#[tokio::test]
async fn a_slow_login_is_not_begun_again_by_callers_that_do_not_wait_for_it() {
    let (asked, answers) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let logins = Arc::new(AtomicUsize::new(0));
    let login = axum::Router::new().route(
        "/oauth/token",
        axum::routing::post({
            let (asked, answers, logins) = (Arc::clone(&asked), Arc::clone(&answers), Arc::clone(&logins));
            move || async move {
                logins.fetch_add(1, Ordering::SeqCst);
                asked.notify_one();
                answers.notified().await;
                axum::Json(json!({"access_token": "t-0", "expires_in": 3600}))
            }
        }),
    );
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let login_url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, login).await });
    let upstream = upstream(|_| json_answer(200, &json!({"jobId": "j-1"}))).await;
    let settings = Settings { login_url, ..settings(&upstream.url) };
    let driver = AnalyticsPurge::with_timeouts(settings, wall_clock(), PATIENT).unwrap();

    for _ in 0..8 {
        let answer = driver.submit(&[A], permit_for(Duration::from_millis(20))).await;
        assert!(matches!(answer.result, Err(Failure::NotSent(_))), "{answer:?}");
    }
    asked.notified().await;
    answers.notify_one();
    driver.ready(Lane::Submit).await.unwrap();
    assert!(driver.submit(&[A], permit()).await.result.is_ok());
    assert_eq!((logins.load(Ordering::SeqCst), upstream.seen_by(PURGE).len()), (1, 1));
    serving.abort();
}

#[tokio::test]
async fn a_renewal_under_way_holds_up_nobody_who_has_a_token() {
    let begun = Arc::new(Notify::new());
    let renewing = Arc::clone(&begun);
    let mut logins = 0;
    // The first token is due from the first moment on; the login of the second never answers.
    let upstream = RawUpstream::start(move |seen| match seen.line.as_str() {
        TOKEN if logins > 0 => {
            renewing.notify_one();
            Act::AnswerAndHang(vec![])
        }
        TOKEN => {
            logins += 1;
            json_answer(200, &json!({"access_token": "t-0", "expires_in": 1}))
        }
        _ => json_answer(200, &json!({"state": "pending"})),
    })
    .await;
    let driver = driver(&upstream);
    driver.ready(Lane::Query).await.unwrap();
    let due = async {
        while driver.poll("j-1", permit()).await.result.is_ok() && upstream.seen_by(TOKEN).len() < 2 {}
    };
    due.await;
    begun.notified().await;
    assert_eq!(upstream.seen_by(TOKEN).len(), 2);
}

/// An upstream whose refusal of the call that carries `t-0` to the job `late` leaves when the test says so.
#[tokio::test]
async fn a_late_refusal_of_an_old_token_starts_no_renewal() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let upstream =
        axum::Router::new()
            .route(
                "/oauth/token",
                axum::routing::post({
                    let granted = Arc::new(std::sync::atomic::AtomicU32::new(0));
                    move || async move {
                        let nth = granted.fetch_add(1, Ordering::SeqCst);
                        axum::Json(json!({"access_token": format!("t-{nth}"), "expires_in": 3600}))
                    }
                }),
            )
            .route(
                "/api/v2/analytics/conversations/purge/{id}",
                axum::routing::get({
                    let (arrived, release) = (Arc::clone(&arrived), Arc::clone(&release));
                    move |axum::extract::Path(id): axum::extract::Path<String>,
                          headers: axum::http::HeaderMap| async move {
                        if id == "late" {
                            arrived.notify_one();
                            release.notified().await;
                        }
                        let status = if headers["authorization"] == "Bearer t-0" { 401 } else { 200 };
                        (
                            axum::http::StatusCode::from_u16(status).unwrap(),
                            axum::Json(json!({"state": "pending"})),
                        )
                    }
                }),
            );
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let _ = axum::serve(listener, upstream).with_graceful_shutdown(async { drop(stopped.await) }).await;
    });

    let driver = Arc::new(driver_with(&url, PATIENT));
    let late = tokio::spawn({
        let driver = Arc::clone(&driver);
        async move { driver.poll("late", permit()).await.result }
    });
    arrived.notified().await;
    assert!(matches!(driver.poll("j-1", permit()).await.result, Err(Failure::TokenRefused(_))));
    assert!(driver.poll("j-1", permit()).await.result.is_ok());
    let age_before = driver.token_life().unwrap();
    release.notify_one();
    assert!(matches!(late.await.unwrap(), Err(Failure::TokenRefused(_))));
    assert!(driver.token_life().unwrap().age >= age_before.age, "the new token is still in hand");
    assert!(driver.poll("j-1", permit()).await.result.is_ok());
    drop(driver);
    stop.send(()).unwrap();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_token_that_replaced_a_refused_one_and_is_refused_too_means_forbidden() {
    let upstream = upstream(accepting(&["t-3"])).await;
    let driver = driver(&upstream);
    let first = driver.poll("j-1", permit()).await.result;
    assert!(matches!(first, Err(Failure::TokenRefused(_))), "{first:?}");
    for _ in 0..2 {
        let next = driver.poll("j-1", permit()).await.result;
        assert!(matches!(next, Err(Failure::Forbidden { .. })), "{next:?}");
    }
    assert!(driver.poll("j-1", permit()).await.result.is_ok());
    assert_eq!(upstream.seen_by(TOKEN).len(), 4);
}

#[tokio::test]
async fn polls_that_work_do_not_hide_that_submits_never_do() {
    let upstream = upstream(|seen| match seen.line.as_str() {
        POLL => json_answer(200, &json!({"state": "pending"})),
        _ => json_answer(401, &json!({})),
    })
    .await;
    let driver = driver(&upstream);
    let submit = || async { driver.submit(&[A], permit()).await.result };
    let poll = || async { driver.poll("j-1", permit()).await.result };
    assert!(poll().await.is_ok());
    assert!(matches!(submit().await, Err(Failure::TokenRefused(_))));
    assert!(poll().await.is_ok());
    assert!(matches!(submit().await, Err(Failure::Forbidden { .. })));
}

#[tokio::test]
async fn a_token_that_expired_after_it_worked_is_replaced_again_and_again() {
    let revoked = Arc::new(AtomicBool::new(false));
    let seen_revoked = Arc::clone(&revoked);
    let upstream = upstream(move |_| {
        let status = if seen_revoked.swap(false, Ordering::SeqCst) { 401 } else { 200 };
        json_answer(status, &json!({"state": "pending"}))
    })
    .await;
    let driver = driver(&upstream);
    for _ in 0..3 {
        assert!(driver.poll("j-1", permit()).await.result.is_ok());
        revoked.store(true, Ordering::SeqCst);
        assert!(matches!(driver.poll("j-1", permit()).await.result, Err(Failure::TokenRefused(_))));
    }
}

#[tokio::test]
async fn every_failure_of_the_login_has_its_meaning() {
    let grant = |grant: serde_json::Value| grant.to_string();
    let cases: Vec<(u16, String, &str)> = vec![
        (
            400,
            r#"{"error": "invalid_client", "error_description": "our-s3cret is wrong"}"#.into(),
            "forbidden",
        ),
        (401, String::new(), "forbidden"),
        (403, "<html>".into(), "forbidden"),
        (404, String::new(), "forbidden"),
        (408, String::new(), "not sent"),
        (429, r#"{"message": "Retry the request in [3] seconds"}"#.into(), "throttled"),
        (302, String::new(), "not sent"),
        (500, String::new(), "not sent"),
        (501, String::new(), "not sent"),
        (503, "<html>".into(), "not sent"),
        (200, String::new(), "not sent"),
        (200, "<html>".into(), "not sent"),
        (200, grant(json!({"expires_in": 300})), "not sent"),
        (200, grant(json!({"access_token": "", "expires_in": 300})), "not sent"),
        (200, grant(json!({"access_token": 7, "expires_in": 300})), "not sent"),
        (200, grant(json!({"access_token": "a\nb", "expires_in": 300})), "not sent"),
        (200, grant(json!({"access_token": "t".repeat(16 * 1024 + 1), "expires_in": 300})), "not sent"),
        (200, grant(json!([{"access_token": "t", "expires_in": 300}])), "not sent"),
    ];
    for (status, body, expected) in cases {
        let script_body = body.clone();
        let upstream = RawUpstream::start(move |_| Act::Answer(answer(status, &[], &script_body))).await;
        let driver = driver(&upstream);
        let failure = driver.submit(&[A], permit()).await.result.unwrap_err();
        let found = match &failure {
            Failure::Forbidden { missing, .. } if missing.contains("our-client") => "forbidden",
            Failure::Throttled { wait: Some(wait), .. } if wait.as_millis().div_ceil(1000) == 3 => {
                "throttled"
            }
            Failure::NotSent(_) => "not sent",
            _ => "another",
        };
        assert_eq!(found, expected, "{status} {body} {failure:?}");
        assert_eq!((failure.detail().call, failure.detail().status), ("token", Some(status)));
        assert!(!format!("{failure:?}").contains("s3cret"));
        assert!(upstream.seen().iter().all(|seen| seen.line == TOKEN));
    }
}

#[tokio::test]
async fn a_token_whose_life_makes_no_sense_is_used_all_the_same() {
    for told in [json!(0), json!(-1), json!("soon"), json!("3600"), json!(12.5), json!(1e300), json!({})] {
        let body = json!({"access_token": "t-0", "expires_in": told});
        let upstream = RawUpstream::start(move |seen| match seen.line.as_str() {
            TOKEN => json_answer(200, &body),
            _ => json_answer(200, &json!({"state": "pending"})),
        })
        .await;
        let driver = driver(&upstream);
        for _ in 0..3 {
            assert!(driver.poll("j-1", permit()).await.result.is_ok(), "{told}");
        }
        assert_eq!(upstream.seen_by(TOKEN).len(), 1, "{told}");
    }
}

#[tokio::test]
async fn a_token_that_fits_into_no_head_is_refused_in_plain_words() {
    let body = json!({"access_token": "t".repeat(16 * 1024 + 1), "expires_in": 300});
    let upstream = RawUpstream::start(move |_| json_answer(200, &body)).await;
    let failure = driver(&upstream).submit(&[A], permit()).await.result.unwrap_err();
    assert_eq!(failure.detail().message, "the access_token is longer than 16 KiB");
}

#[tokio::test]
async fn a_host_that_is_not_the_login_is_named() {
    for (body, without) in [("<html>", "JSON"), ("{}", "an access_token")] {
        let upstream = RawUpstream::start(move |_| Act::Answer(answer(200, &[], body))).await;
        let failure = driver(&upstream).submit(&[A], permit()).await.result.unwrap_err();
        let host = upstream.url.trim_start_matches("http://");
        let told =
            format!("not sent: token: {host} answered 200 without {without}; is this Genesys' login host?");
        assert_eq!(failure.to_string(), told);
    }
}

#[tokio::test]
async fn a_token_that_tells_no_life_is_believed_to_live_for_five_minutes() {
    let upstream = RawUpstream::start(|_| json_answer(200, &json!({"access_token": "t"}))).await;
    let driver = driver(&upstream);
    assert_eq!(driver.token_life(), None);
    driver.ready(Lane::Query).await.unwrap();
    let life = driver.token_life().unwrap();
    assert!(life.age + life.expires_in <= Duration::from_mins(5) + Duration::from_millis(1));
}
