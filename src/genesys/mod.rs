//! The wire to Genesys: authentication, one HTTP exchange, the meaning of an answer, and one file per driver.
//!
//! Callers see [`Upstream`] and the types around it. Status codes, header names and JSON shapes end here.
//!
//! Invariant: genesys never repeats a call, never decides when to try again (but for the login, which all calls
//! share), never holds SQL, and never writes a call without a [`Permit`] that is still valid.

use std::sync::Arc;

use jiff::Timestamp;

pub mod analytics_purge;
mod client;
mod connections;
mod error_answer;
mod exchange;
mod failure;
mod json;
mod login;
mod permit;
mod retry_after;
mod session;
#[cfg(test)]
mod testing;
mod token;
mod upstream;

pub use client::{CALL_TIMEOUT, CONNECT_TIMEOUT, ClientError};
pub use failure::{Detail, Failure};
pub use permit::Permit;
pub use upstream::{
    Answer, JobStatus, Lane, LoginTrouble, NotReady, Observed, TokenLife, Told, Upstream, UpstreamJobId,
};

/// Tells the time of day: handed in, so that its owner (and a test) owns the time.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
