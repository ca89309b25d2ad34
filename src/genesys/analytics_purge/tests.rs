//! The driver against an upstream that speaks raw TCP.

mod bodies;
mod connections;
mod counted;
mod echoes;
mod permits;
mod repeats;
mod statuses;
mod tokens;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;
use crate::genesys::testing::{Act, RawUpstream, Seen, answer};

const TOKEN: &str = "POST /oauth/token";
const DETAILS: &str = "POST /api/v2/analytics/conversations/details/query";
const PURGE: &str = "POST /api/v2/analytics/conversations/purge";
const POLL: &str = "GET /api/v2/analytics/conversations/purge/j-1";

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);

/// Generous, so that a slow machine is not taken for a slow upstream.
const PATIENT: Timeouts =
    Timeouts { connect: Duration::from_secs(20), call: Duration::from_mins(1), way: Duration::ZERO };

fn settings(base_url: &str) -> Settings {
    Settings {
        org: "acme".into(),
        base_url: base_url.into(),
        login_url: base_url.into(),
        client_id: "our-client".into(),
        client_secret: SecretString::from("our-s3cret"),
    }
}

fn wall_clock() -> WallClock {
    Arc::new(|| "2026-03-01T12:00:00Z".parse().unwrap())
}

fn driver(upstream: &RawUpstream) -> AnalyticsPurge {
    driver_with(&upstream.url, PATIENT)
}

fn driver_with(url: &str, timeouts: Timeouts) -> AnalyticsPurge {
    AnalyticsPurge::with_timeouts(settings(url), wall_clock(), timeouts).unwrap()
}

/// A permit that is good for as long as any test runs.
fn permit() -> Permit {
    permit_for(Duration::from_mins(2))
}

fn permit_for(time: Duration) -> Permit {
    let wall_deadline = wall_clock()() + jiff::SignedDuration::try_from(time).unwrap();
    Permit::until(Instant::now() + time, wall_deadline)
}

fn json_answer(status: u16, body: &serde_json::Value) -> Act {
    Act::Answer(answer(status, &[("content-type", "application/json")], &body.to_string()))
}

fn token_answer(token: &str) -> Act {
    json_answer(200, &serde_json::json!({"access_token": token, "token_type": "bearer", "expires_in": 86400}))
}

/// An upstream that grants the token `t-0`, then `t-1` and so on, and answers all other calls as told.
async fn upstream(mut calls: impl FnMut(&Seen) -> Act + Send + 'static) -> RawUpstream {
    let mut granted = 0;
    RawUpstream::start(move |seen| {
        if seen.line != TOKEN {
            return calls(seen);
        }
        granted += 1;
        token_answer(&format!("t-{}", granted - 1))
    })
    .await
}

/// The result of each call, as far as it failed.
async fn failures(driver: &AnalyticsPurge) -> [Option<Failure>; 3] {
    [
        driver.facts(&[A, B], permit()).await.result.err(),
        driver.submit(&[A, B], permit()).await.result.err(),
        driver.poll("j-1", permit()).await.result.err(),
    ]
}
