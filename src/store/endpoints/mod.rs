//! Webhook endpoints: registered by callers, or named with a purge. Each has a secret, shown once when it is created.

mod change;
pub mod create;
pub mod read;

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::StoreError;
use super::error::word;
use crate::domain::endpoints::{Interest, Told};

pub use change::{Change, Changed, Wish};

/// Maximum registered endpoints.
pub const MOST: i64 = 100;

/// An endpoint, as callers see it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: Uuid,
    pub url: String,
    pub description: Option<String>,
    pub interest: Interest,
    /// The purge that named it.
    pub purge: Option<Uuid>,
    pub enabled: bool,
    /// Why the service disabled it, and when it was.
    pub disabled: Option<(Timestamp, Option<String>)>,
    /// Signs its deliveries.
    pub secret: SecretString,
    /// Until when the previous secret signs too.
    pub previous_until: Option<Timestamp>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Attempts in a row that failed, and since when.
    pub failures: i32,
    pub failing_since: Option<Timestamp>,
    /// Nothing is sent before this time, because several attempts failed in a row.
    pub resting_until: Option<Timestamp>,
}

/// As it is stored.
pub(super) fn interest(
    events: Option<Vec<String>>,
    orgs: Option<Vec<String>>,
) -> Result<Interest, StoreError> {
    let told = |events: Vec<String>| events.iter().map(|event| word("event of a webhook", event)).collect();
    Ok(Interest { events: events.map(told).transpose()?, orgs })
}

/// Its event types, as stored.
fn words(events: Option<&Vec<Told>>) -> Option<Vec<String>> {
    events.map(|events| events.iter().map(ToString::to_string).collect())
}

/// Scheme and host of an endpoint's address: the rest may be a secret.
pub(super) fn host(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn of_an_address_no_more_than_scheme_and_host_is_told() {
        for (url, expected) in [
            ("https://receiver.example:8443/hooks/s3cret?token=1", "https://receiver.example:8443"),
            ("http://me:pass@receiver.example", "http://receiver.example"),
            ("https://[2001:db8::1]/x", "https://[2001:db8::1]"),
            ("https://receiver.example?a", "https://receiver.example"),
        ] {
            assert_eq!(host(url), expected);
        }
    }
}
