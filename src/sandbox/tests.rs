//! Start, stop and scale.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;

fn loopback() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[tokio::test]
async fn it_listens_on_loopback_only_unless_told() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = Sandbox::start(Settings::default(), everywhere, false).await.unwrap_err();
    assert!(matches!(refused, SandboxError::NotLoopback { .. }), "{refused}");
    assert!(Sandbox::start(Settings::default(), "[::]:0".parse().unwrap(), false).await.is_err());
    Sandbox::start(Settings::default(), everywhere, true).await.unwrap().stop().await;
    Sandbox::start(Settings::default(), loopback(), false).await.unwrap().stop().await;
}

#[tokio::test]
async fn bad_settings_and_a_taken_port_stop_the_start() {
    let bad = Settings { max_batch: 0, ..Settings::default() };
    let refused = Sandbox::start(bad, loopback(), false).await.unwrap_err().to_string();
    assert!(refused.contains("maxBatch"), "{refused}");
    let first = Sandbox::start(Settings::default(), loopback(), false).await.unwrap();
    let taken = Sandbox::start(Settings::default(), first.addr(), false).await.unwrap_err();
    assert!(matches!(taken, SandboxError::Listen { .. }), "{taken}");
}

#[tokio::test]
async fn a_stopped_sandbox_can_be_opened_again_where_it_was() {
    let first = Sandbox::start(Settings::default(), loopback(), false).await.unwrap();
    let (addr, sandbox) = (first.addr(), Arc::clone(first.sandbox()));
    let id = sandbox.ids_of(Kind::Eligible)[0];
    sandbox.set_kind(id, Kind::Held).unwrap();
    first.stop().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    let again = Running::serve(sandbox, addr, false).await.unwrap();
    assert_eq!(again.sandbox().expected_outcome(id), Some(Expected::OnHold));
}

#[tokio::test]
async fn a_caller_that_sends_half_a_request_does_not_hold_up_the_stop() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let running = Sandbox::start(Settings::default(), loopback(), false).await.unwrap();
    let mut half = tokio::net::TcpStream::connect(running.addr()).await.unwrap();
    half.write_all(
        b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    )
    .await
    .unwrap();
    // The interim answer shows that the request is being read.
    assert!(half.read(&mut [0; 64]).await.unwrap() > 0);
    tokio::time::timeout(Duration::from_secs(10), running.stop()).await.expect("the deadline holds");
    assert!(!matches!(half.read(&mut [0; 64]).await, Ok(1..)));
}

#[test]
fn a_million_conversations_cost_nothing_until_they_are_touched() {
    let started = Instant::now();
    let settings = Settings { conversations: 1_000_000, ..Settings::default() };
    let sandbox = Sandbox::new(settings, Clock::machine()).unwrap();
    let last = sandbox.ids().last().unwrap();
    assert!(sandbox.expected_outcome(last).is_some());
    assert_eq!(sandbox.truth().expected.values().sum::<u32>(), 1_000_000);
    // Generous for an unoptimized build on a busy machine; storing a million would not be.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn one_seed_plays_the_same_game_twice() {
    let play = || {
        let sandbox = Sandbox::new(Settings::default(), Clock::manual(Timestamp::UNIX_EPOCH)).unwrap();
        let id = sandbox.world().new_id();
        (sandbox.ids().take(5).collect::<Vec<_>>(), sandbox.truth(), id)
    };
    assert_eq!(play(), play());
}
