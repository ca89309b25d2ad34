//! A single signed POST to an endpoint that a caller named, now: what its answer is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{Destination, SendError, Sender, Sent, SigningSecret};
use crate::domain::address::AddressRules;

/// Sends where callers' receivers may be.
#[derive(Clone)]
pub struct Pinger {
    sender: Sender,
    timeout: Duration,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Pinger {
    pub fn new(
        rules: AddressRules,
        timeout: Duration,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Result<Self, SendError> {
        Ok(Self { sender: Sender::new(rules)?, timeout, clock })
    }

    /// What came of it, and how long it took.
    pub async fn ping(&self, url: &str, secret: &SecretString, id: Uuid, payload: &str) -> (Sent, Duration) {
        let begun = Instant::now();
        let to =
            Url::parse(url).map_err(|_| SendError::Unsendable("its address can't be read")).and_then(|url| {
                let secret = SigningSecret::parse(secret.expose_secret())
                    .map_err(|_| SendError::Unsendable("its secret can't be read"))?;
                Ok(Destination::of_caller(url, vec![secret], self.timeout))
            });
        let sent = match to {
            Ok(to) => self.sender.send(&to, &id.to_string(), (self.clock)(), payload).await,
            Err(error) => error.into(),
        };
        (sent, begun.elapsed())
    }
}
