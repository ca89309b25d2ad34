//! A submit is written once, whatever the connection does.

use std::collections::HashSet;

use futures_util::FutureExt;
use serde_json::json;

use super::*;
use crate::genesys::testing::Read;

const ROUNDS: usize = 20;

/// The token, granted before the upstream begins to misbehave, comes from a listener of its own.
async fn driver_of_misbehaving(upstream: &RawUpstream) -> (AnalyticsPurge, RawUpstream) {
    let login = RawUpstream::start(|_| token_answer("t")).await;
    let settings = Settings { login_url: login.url.clone(), ..settings(&upstream.url) };
    let driver = AnalyticsPurge::with_timeouts(settings, wall_clock(), PATIENT).unwrap();
    // The token alone: no connection is opened to an upstream that counts them.
    assert!(driver.session.tokens.current(&driver.session.clients).await.is_ok());
    (driver, login)
}

/// Calls by which the upstream saw at least a byte of a request.
async fn submits_against(read: Read, act: fn() -> Act) -> (usize, RawUpstream) {
    let upstream = RawUpstream::reading(move |_, _| read, move |_| act()).await;
    let (driver, _login) = driver_of_misbehaving(&upstream).await;
    let mut unknown = 0;
    for round in 0..ROUNDS {
        let id = Uuid::from_u128(round as u128);
        match driver.submit(&[id], permit()).await.result {
            Ok(_) => {}
            Err(Failure::Unknown(_)) => unknown += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    (unknown, upstream)
}

#[tokio::test]
async fn a_submit_whose_connection_breaks_is_unknown_and_not_written_again() {
    type Script = fn() -> Act;
    let moments: &[(Read, Script)] = &[
        (Read::Nothing, || Act::AnswerAndClose(vec![])),
        (Read::FirstByte, || Act::AnswerAndClose(vec![])),
        (Read::Head, || Act::AnswerAndClose(vec![])),
        (Read::Whole, || Act::AnswerAndClose(vec![])),
        (Read::Whole, || Act::AnswerAndClose(b"HTTP/1.1 20".to_vec())),
        (Read::Whole, || {
            Act::AnswerAndClose(b"HTTP/1.1 202 X\r\ncontent-length: 16\r\n\r\n{\"jobId\"".to_vec())
        }),
        (Read::Whole, || Act::AnswerAndClose(b"SSH-2.0\r\n\r\n".to_vec())),
    ];
    for (read, act) in moments {
        let (unknown, upstream) = submits_against(*read, *act).await;
        assert_eq!(unknown, ROUNDS, "{read:?}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), ROUNDS, "{read:?}: one request for each submit");
        let connections: HashSet<usize> = seen.iter().map(|seen| seen.connection).collect();
        assert_eq!(connections.len(), ROUNDS, "{read:?}: each on its own connection");
        if *read == Read::Whole {
            let bodies: HashSet<&str> = seen.iter().map(|seen| seen.body.as_str()).collect();
            assert_eq!(bodies.len(), ROUNDS, "no body came twice");
        }
    }
}

/// Upstream offers to keep the connection and hangs up at once, the worst moment for a client that believes it.
#[tokio::test]
async fn no_submit_meets_a_connection_that_upstream_is_closing() {
    let (unknown, upstream) = submits_against(Read::Whole, || {
        Act::AnswerAndClose(answer(202, &[("connection", "keep-alive")], &json!({"jobId": "j"}).to_string()))
    })
    .await;
    assert_eq!(unknown, 0);
    assert_eq!(upstream.seen().len(), ROUNDS);
}

/// Upstream keeps every connection and hangs up on whatever comes second over one: submits never do.
#[tokio::test]
async fn no_two_submits_share_a_connection() {
    let upstream = RawUpstream::reading(
        |_, nth| if nth == 0 { Read::Whole } else { Read::FirstByte },
        |seen| match seen.nth {
            0 => json_answer(202, &json!({"jobId": "j"})),
            _ => Act::AnswerAndClose(vec![]),
        },
    )
    .await;
    let (driver, _login) = driver_of_misbehaving(&upstream).await;
    for _ in 0..ROUNDS {
        driver.submit(&[A], permit()).await.result.unwrap();
    }
    let connections: Vec<usize> = upstream.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, (0..ROUNDS).collect::<Vec<_>>());
}

/// Queries keep their connections. Upstream hangs up in the middle of each second request of a connection: a poll that
/// it began to read is lost, and not made again behind the caller's back.
#[tokio::test]
async fn a_poll_that_was_begun_is_not_repeated_either() {
    for cut in [Read::FirstByte, Read::Head, Read::Whole] {
        let upstream = RawUpstream::reading(
            move |_, nth| if nth == 0 { Read::Whole } else { cut },
            |seen| match seen.nth {
                0 => json_answer(200, &json!({"state": "pending"})),
                _ => Act::AnswerAndClose(vec![]),
            },
        )
        .await;
        let (driver, _login) = driver_of_misbehaving(&upstream).await;
        let mut failed = 0;
        for _ in 0..ROUNDS {
            match driver.poll("j-1", permit()).await.result {
                Ok(_) => {}
                Err(Failure::Unknown(_)) => failed += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        let seen = upstream.seen();
        assert_eq!(seen.len(), ROUNDS, "{cut:?}");
        assert_eq!(failed, seen.iter().filter(|seen| seen.nth > 0).count(), "{cut:?}");
        assert!(failed > 0, "{cut:?}: connections were kept");
    }
}

/// A submit that its caller drops is not finished by the client in the background.
#[tokio::test]
async fn a_submit_that_is_dropped_while_it_connects_is_not_written() {
    let upstream = RawUpstream::start(|_| json_answer(202, &json!({"jobId": "j"}))).await;
    let (driver, _login) = driver_of_misbehaving(&upstream).await;
    for _ in 0..ROUNDS {
        let submit = driver.submit(&[A], permit());
        assert!(submit.now_or_never().is_none(), "the first poll only begins to connect");
    }
    assert!(driver.submit(&[B], permit()).await.result.is_ok());
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].body.contains(&B.to_string()));
}
