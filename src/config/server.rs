//! `[server]`: the HTTP server.
//!
//! Invariant: only what the socket and the requests on it need.

use std::net::SocketAddr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::values;

/// `[server]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// The address and port to listen on; port 0 takes a free one.
    #[serde(deserialize_with = "bind")]
    pub bind: SocketAddr,
    /// How long a request may take; not for `?wait`, uploads and streams.
    #[serde(deserialize_with = "values::duration")]
    pub request_timeout: Duration,
}

fn bind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|_| {
        D::Error::custom("expected an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"")
    })
}
