//! `[webhooks]`: the operator's receiver, and how deliveries are repeated.
//!
//! Invariant: the receiver's URL may carry a token in its path, so it is never shown as a whole.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ipnet::IpNet;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::merged::Merged;
use super::{ConfigError, networks, values};

const LONGEST_SCHEDULE: usize = 50;

/// `[webhooks]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// The operator's receiver, told of every upstream job and purge that ends; none is none.
    #[serde(default, deserialize_with = "url")]
    pub url: Option<ReceiverUrl>,
    /// What its deliveries are signed with; where none is set, one is made at the first start.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<SecretString>,
    /// One that signs beside it, as long as a receiver does not know the new one.
    #[serde(default, deserialize_with = "secret")]
    pub previous_secret: Option<SecretString>,
    /// How long a receiver may take to answer.
    #[serde(deserialize_with = "values::duration")]
    pub timeout: Duration,
    /// The waits before the second, third, ... attempt; after the last the delivery is dead.
    #[serde(deserialize_with = "retry_schedule")]
    pub retry_schedule: Vec<Duration>,
    /// A registered endpoint that did nothing but fail for so long is disabled.
    #[serde(deserialize_with = "values::duration")]
    pub disable_after: Duration,
    /// Networks that receivers named by callers may be in, although not everybody reaches them.
    #[serde(deserialize_with = "networks::networks")]
    pub allowed_networks: Vec<IpNet>,
    /// Receivers named by callers may be in those networks alone.
    #[serde(deserialize_with = "values::yes_no")]
    pub only_allowed_networks: bool,
    /// Ports that receivers named by callers may listen on.
    #[serde(deserialize_with = "networks::ports")]
    pub allowed_ports: Vec<RangeInclusive<u16>>,
}

/// Where a receiver listens. Debug output ends at the host.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceiverUrl(Url);

impl ReceiverUrl {
    /// The URL to send to; it belongs in no log.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for ReceiverUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/...", self.0.origin().ascii_serialization())
    }
}

impl WebhookSettings {
    /// The rules between values: a delivery is made under a lease, like every call.
    pub(super) fn check(&self, merged: &Merged, lease: Duration) -> Result<(), ConfigError> {
        if self.timeout * 2 > lease {
            let other = merged.describe(&["engine", "lease"]);
            return Err(merged.refuse(&["webhooks", "timeout"], format!("expected at most half of {other}")));
        }
        if self.previous_secret.is_some() && self.secret.is_none() {
            let detail = "expected beside webhooks.secret alone: what the database keeps, `webhooks rotate-secret` replaces";
            return Err(merged.refuse(&["webhooks", "previous_secret"], detail));
        }
        Ok(())
    }
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ReceiverUrl>, D::Error> {
    let Some(text) = values::optional_text(deserializer)? else { return Ok(None) };
    Url::parse(&text)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .map(|url| Some(ReceiverUrl(url)))
        .ok_or_else(|| D::Error::custom("expected a URL such as https://receiver.example/hooks"))
}

/// Checked here although who signs checks it again: a service without a receiver would start with any text, and fail on
/// the day on which it is given one. The lengths are those of Standard Webhooks.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let secret = values::optional_secret(deserializer)?;
    let bytes = |encoded: &str| BASE64_STANDARD.decode(encoded).map_or(0, |key| key.len());
    let is_lawful = |secret: &SecretString| {
        let secret = secret.expose_secret();
        let is_shared = secret.strip_prefix("whsec_").is_some_and(|key| (24..=64).contains(&bytes(key)));
        let is_private = secret.strip_prefix("whsk_").is_some_and(|key| bytes(key) == 64);
        is_shared || is_private
    };
    match secret {
        Some(secret) if !is_lawful(&secret) => Err(D::Error::custom(
            "expected \"whsec_\" and 24 to 64 bytes as base64, or \"whsk_\" and an Ed25519 key pair of 64 bytes",
        )),
        secret => Ok(secret),
    }
}

fn retry_schedule<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    let schedule = values::durations(deserializer)?;
    if (1..=LONGEST_SCHEDULE).contains(&schedule.len()) {
        Ok(schedule)
    } else {
        Err(D::Error::custom(format_args!(
            "expected 1 to {LONGEST_SCHEDULE} durations, such as [\"5s\", \"5m\"]"
        )))
    }
}
