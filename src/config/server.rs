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
    /// Where health and metrics are told too, however busy the other address is; nowhere where it is left out.
    #[serde(default, deserialize_with = "optional_bind")]
    pub health_bind: Option<SocketAddr>,
    /// How long a request may take; not for `?wait`, uploads and streams.
    #[serde(deserialize_with = "values::duration")]
    pub request_timeout: Duration,
}

fn bind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    address(&String::deserialize(deserializer)?)
}

fn optional_bind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    values::optional_text(deserializer)?.as_deref().map(address).transpose()
}

fn address<E: Error>(text: &str) -> Result<SocketAddr, E> {
    let expected = "expected an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"";
    text.parse().map_err(|_| E::custom(expected))
}
