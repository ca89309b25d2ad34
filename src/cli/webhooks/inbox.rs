//! What arrives at a receiver for trying things out: it is verified as every receiver should, and told apart from repeats.
//!
//! Invariant: of what was not verified nothing but the reason is told, never a payload.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;

use crate::webhooks::{Refusal, Verifier};

/// So many ids are remembered to tell repeats by.
const REMEMBERED: usize = 100_000;

/// What deliveries are held against.
pub(in crate::cli) struct Inbox {
    verifier: Verifier,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    seen: Mutex<HashSet<String>>,
}

/// One that arrived.
pub(in crate::cli) struct Arrived {
    pub(in crate::cli) at: Timestamp,
    pub(in crate::cli) told: Result<Taken, Refusal>,
}

/// One that was verified.
pub(in crate::cli) struct Taken {
    pub(in crate::cli) id: String,
    /// `-` where it names none.
    pub(in crate::cli) event: String,
    /// As one reads it.
    pub(in crate::cli) payload: String,
    pub(in crate::cli) is_repeat: bool,
}

impl Inbox {
    pub(in crate::cli) fn new(verifier: Verifier, clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        Self { verifier, clock, seen: Mutex::default() }
    }

    pub(in crate::cli) fn take(&self, headers: &HeaderMap, body: &[u8]) -> Arrived {
        self.take_by(&self.verifier, headers, body)
    }

    /// The same of what was signed with other secrets.
    pub(in crate::cli) fn take_by(&self, verifier: &Verifier, headers: &HeaderMap, body: &[u8]) -> Arrived {
        let at = (self.clock)();
        let told = verifier.verify(headers, body, at).map(|verified| {
            let (event, payload) = shown(body);
            let is_repeat = !self.is_new(&verified.id);
            Taken { id: verified.id, event, payload, is_repeat }
        });
        Arrived { at, told }
    }

    fn is_new(&self, id: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(id.to_owned())
    }
}

impl Arrived {
    /// What its sender is answered.
    pub(in crate::cli) fn status(&self) -> StatusCode {
        match &self.told {
            Ok(_) => StatusCode::NO_CONTENT,
            Err(refusal) if refusal.is_untrusted() => StatusCode::UNAUTHORIZED,
            Err(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// The event of a payload, and the payload as one reads it.
fn shown(body: &[u8]) -> (String, String) {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(payload) => {
            let event = payload.get("event").and_then(serde_json::Value::as_str).unwrap_or("-");
            (event.escape_debug().to_string(), format!("{payload:#}"))
        }
        Err(_) => ("-".to_owned(), String::from_utf8_lossy(body).escape_debug().to_string()),
    }
}
