//! Sends a single signed POST to an endpoint that a caller named, and returns its answer.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::{Destination, Message, Sender, Sent};

/// Sends to receivers of callers, by their rules.
#[derive(Clone)]
pub struct Pinger {
    sender: Sender,
    timeout: Duration,
}

impl Pinger {
    pub const fn new(sender: Sender, timeout: Duration) -> Self {
        Self { sender, timeout }
    }

    /// The result and the duration.
    pub async fn ping(
        &self,
        url: &str,
        secret: SecretString,
        (id, now): (Uuid, Timestamp),
        payload: &str,
    ) -> (Sent, Duration) {
        let begun = Instant::now();
        let sent = match Destination::stored(url, &[secret], self.timeout) {
            Ok(to) => self.sender.send(&to, Message::new(&id.to_string(), payload), now).await,
            Err(error) => error.into(),
        };
        (sent, begun.elapsed())
    }
}
