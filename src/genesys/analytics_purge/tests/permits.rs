//! Nothing is written once a permit has ended, and what was never written is said to be so.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::genesys::permit::Deadline;

fn not_sent<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    match answer.result {
        Err(Failure::NotSent(detail)) => detail.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_whose_permit_has_ended_is_not_written() {
    let upstream = upstream(|_| json_answer(200, &json!({}))).await;
    let driver = driver(&upstream);
    driver.ready(Lane::Query).await.unwrap();
    let ended = || permit_for(Duration::ZERO);
    let message = "the permit ended before the call could be written";
    assert_eq!(not_sent(driver.facts(&[A], ended()).await), message);
    assert_eq!(not_sent(driver.submit(&[A], ended()).await), message);
    assert_eq!(not_sent(driver.poll("j-1", ended()).await), message);
    assert!(upstream.seen().iter().all(|seen| seen.line == TOKEN));
}

/// A clock that goes on by three hours once it was asked so many times.
fn suspended_after(times_asked: Arc<AtomicUsize>) -> WallClock {
    Arc::new(move || {
        let is_before = times_asked.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        let now = wall_clock()();
        if is_before { now } else { now + SignedDuration::from_hours(3) }
    })
}

/// The monotonic clock, which stands still meanwhile, would let each of these calls pass.
#[tokio::test]
async fn what_was_suspended_since_its_permit_was_taken_is_not_written() {
    // Suspended before the call is looked at, and while it connects.
    for looks in [0, 1] {
        let upstream = upstream(|_| json_answer(200, &json!({}))).await;
        let times_asked = Arc::new(AtomicUsize::new(usize::MAX));
        let clock = suspended_after(Arc::clone(&times_asked));
        let driver = AnalyticsPurge::with_timeouts(settings(&upstream.url), clock, PATIENT).unwrap();
        driver.ready(Lane::Query).await.unwrap();
        let message = "the permit ended before the call could be written";
        times_asked.store(looks, SeqCst);
        let said = not_sent(driver.submit(&[A], permit()).await);
        assert!(said.ends_with(message), "{said}");
        if looks == 0 {
            assert_eq!(not_sent(driver.facts(&[A], permit()).await), message);
            assert_eq!(not_sent(driver.poll("j-1", permit()).await), message);
        }
        assert!(upstream.seen().iter().all(|seen| seen.line == TOKEN), "{looks}");
    }
}

#[tokio::test]
async fn a_token_that_comes_too_late_is_a_call_not_sent() {
    let upstream = RawUpstream::start(|_| Act::AnswerAndHang(vec![])).await;
    let driver = driver(&upstream);
    let soon = permit_for(Duration::from_millis(200));
    assert_eq!(
        not_sent(driver.submit(&[A], soon).await),
        "the permit ended before the call could be written"
    );
}

/// A listener that accepts connections and never says a word of TLS: connecting takes forever.
async fn silent() -> (RawUpstream, Clients, Url) {
    let upstream =
        RawUpstream::reading(|_, _| crate::genesys::testing::Read::Nothing, |_| Act::AnswerAndHang(vec![]))
            .await;
    let url = Url::parse(&upstream.url.replace("http", "https")).unwrap();
    let timeouts = Timeouts { connect: Duration::from_secs(1), ..PATIENT };
    (upstream, Clients::build("org", false, timeouts, &wall_clock()).unwrap(), url)
}

#[tokio::test]
async fn a_connection_that_is_not_ready_in_time_is_a_call_not_sent() {
    use crate::genesys::client::Lost;
    let (_upstream, clients, url) = silent().await;
    // (until the permit ends, what is said): the permit, or the time-out, whichever comes first.
    for (millis, expected) in [(100, "the permit ended"), (30_000, "operation timed out")] {
        for lane in [Lane::Submit, Lane::Query] {
            let write_before = Deadline::within(Duration::from_millis(millis), &wall_clock());
            let request = Request::new(Method::GET, url.clone());
            match clients.send(lane, request, write_before).await {
                Err(Lost::NotSent(message)) => assert!(message.contains(expected), "{message}"),
                Err(other) => panic!("{other:?}"),
                Ok((response, _)) => panic!("{response:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_failed_tls_handshake_is_a_call_not_sent() {
    use crate::genesys::client::Lost;
    let upstream = RawUpstream::reading(
        |_, _| crate::genesys::testing::Read::FirstByte,
        |_| Act::AnswerAndClose(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
    )
    .await;
    let clients = Clients::build("org", false, PATIENT, &wall_clock()).unwrap();
    let url = Url::parse(&upstream.url.replace("http", "https")).unwrap();
    let write_before = Deadline::within(Duration::from_mins(1), &wall_clock());
    let lost = clients.send(Lane::Submit, Request::new(Method::POST, url), write_before).await;
    let expected =
        Lost::NotSent(format!("{} does not speak TLS", upstream.url.trim_start_matches("http://")));
    assert_eq!(lost.err(), Some(expected));
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_are_calls_not_sent() {
    let gone = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let login = RawUpstream::start(|_| token_answer("t")).await;
    for base_url in [format!("http://{gone}"), "http://no-such-host.invalid".to_owned()] {
        let settings = Settings { login_url: login.url.clone(), ..settings(&base_url) };
        let driver = AnalyticsPurge::with_timeouts(settings, wall_clock(), PATIENT).unwrap();
        driver.ready(Lane::Query).await.unwrap();
        let message = not_sent(driver.submit(&[A], permit()).await);
        assert!(!message.is_empty() && !message.contains('\n'), "{message}");
    }
    let driver = driver_with(&format!("http://{gone}"), PATIENT);
    assert!(not_sent(driver.submit(&[A], permit()).await).contains("onnection refused"));
}
