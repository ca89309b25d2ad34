//! What a failed call means, whatever the driver, and the detail that is kept of it.
//!
//! Invariant: nothing here decides what to do about a failure, and no detail ever holds a secret.

use std::{error::Error, fmt, time::Duration};

use serde::Serialize;
use uuid::Uuid;

/// The longest message that is kept, in characters.
const MAX_MESSAGE: usize = 500;
/// The longest code, context or correlation id that is kept, in characters.
const MAX_NAME: usize = 100;

/// What a failed call means. The details are boxed, so that a `Result` with one stays small.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing was written: no connection (refused, unknown name, failed TLS handshake, timed out), no token to
    /// be had, or the permit ended first.
    #[error("not sent: {0}")]
    NotSent(Box<Detail>),

    /// The token was refused and is forgotten; the next call gets a new one.
    #[error("token refused: {0}")]
    TokenRefused(Box<Detail>),

    /// The credentials, or what they may do, do not suffice. Nothing was done.
    #[error("forbidden: {detail}: {missing}")]
    Forbidden {
        /// The answer.
        detail: Box<Detail>,
        /// A sentence for the operator: what is missing, and what is there.
        missing: String,
    },

    /// Too many calls or too many upstream jobs. Nothing was done.
    #[error("throttled: {detail}")]
    Throttled {
        /// The answer.
        detail: Box<Detail>,
        /// How long upstream asks to wait, 1 s to 1 h; `None`: it did not say.
        wait: Option<Duration>,
    },

    /// The batch was rejected as a whole, because upstream protects some of it.
    #[error("conflict: {detail}")]
    Conflict {
        /// The answer.
        detail: Box<Detail>,
        /// Those of the batch that the answer names; empty where it names none of them.
        named: Vec<Uuid>,
    },

    /// Something in the request is wrong, perhaps a single id.
    #[error("invalid: {0}")]
    Invalid(Box<Detail>),

    /// This upstream does not do that for what it was asked about.
    #[error("refused: {0}")]
    Refused(Box<Detail>),

    /// There is no such call there: this is not the upstream that the settings promise. It says nothing of what the
    /// call was about, and nothing was done.
    #[error("wrong upstream: {0}")]
    WrongUpstream(Box<Detail>),

    /// Upstream does not know the job that was asked about (perhaps not yet).
    #[error("missing: {0}")]
    Missing(Box<Detail>),

    /// It can't be told whether upstream did what was asked, or the answer can't be relied on.
    #[error("unknown: {0}")]
    Unknown(Box<Detail>),
}

impl Failure {
    /// The detail, whatever the failure means.
    pub fn detail(&self) -> &Detail {
        match self {
            Self::NotSent(detail)
            | Self::TokenRefused(detail)
            | Self::Invalid(detail)
            | Self::Refused(detail)
            | Self::WrongUpstream(detail)
            | Self::Missing(detail)
            | Self::Unknown(detail)
            | Self::Forbidden { detail, .. }
            | Self::Throttled { detail, .. }
            | Self::Conflict { detail, .. } => detail,
        }
    }
}

/// What is known of a failed call: stored as `lastError`, shown to operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// `token`, `details`, `submit` or `poll`.
    pub call: &'static str,
    /// Upstream's status, where it answered.
    pub status: Option<u16>,
    /// Upstream's error code.
    pub code: Option<String>,
    /// What happened, on one line of at most 500 characters.
    pub message: String,
    /// Upstream's `contextId`, which its support asks for.
    pub context_id: Option<String>,
    /// Upstream's `ININ-Correlation-Id`, which its support asks for.
    pub correlation_id: Option<String>,
}

impl Detail {
    /// A detail of a call that got no answer, or of whose answer nothing more is known yet.
    pub(super) fn new(call: &'static str, message: &str) -> Self {
        Self {
            call,
            status: None,
            code: None,
            message: one_line(message, MAX_MESSAGE),
            context_id: None,
            correlation_id: None,
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.call)?;
        let answered = self.status.map(|status| format!(" answered {status}"));
        // Unless the message says so itself.
        if let Some(answered) = answered.filter(|answered| !self.message.contains(answered)) {
            f.write_str(&answered)?;
        }
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        write!(f, ": {}", self.message)?;
        // What upstream's support asks for; both are often the same.
        if let Some(id) = &self.context_id {
            write!(f, " (contextId {id})")?;
        }
        match &self.correlation_id {
            Some(id) if self.context_id.as_ref() != Some(id) => write!(f, " (correlation id {id})"),
            _ => Ok(()),
        }
    }
}

/// A code or an id as upstream gave it, fit to be stored; `None` where nothing is left of it.
pub(super) fn name(text: &str) -> Option<String> {
    Some(one_line(text, MAX_NAME)).filter(|name| !name.is_empty())
}

/// The text on one line, bounded: it comes from outside and goes into logs and pages.
pub(super) fn one_line(text: &str, max_chars: usize) -> String {
    let mut line = String::new();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > max_chars * 4 {
            break;
        }
    }
    match line.char_indices().nth(max_chars) {
        None => line,
        Some(_) => line.chars().take(max_chars - 1).chain(['…']).collect(),
    }
}

/// An error with all its causes, on one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// What happened at last, without the layers that it came through.
pub(super) fn last_cause(error: &dyn Error) -> String {
    let (mut last, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        (last, cause) = (error.to_string(), error.source());
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_from_outside_is_one_bounded_line() {
        let detail = Detail::new("submit", &format!("first\r\nsecond\u{0}\t{}", "é".repeat(900)));
        assert!(detail.message.starts_with("first second é"));
        assert_eq!(detail.message.chars().count(), MAX_MESSAGE);
        assert!(detail.message.ends_with('…'));
        assert_eq!(one_line(" short \n", 10), "short");
        assert_eq!(one_line("exactly10!", 10), "exactly10!");
    }

    #[test]
    fn a_detail_is_stored_in_camel_case() {
        let mut detail = Detail::new("poll", "gone");
        detail.status = Some(404);
        detail.context_id = name("c-1");
        detail.correlation_id = name("\n");
        let stored = serde_json::to_value(&detail).unwrap();
        let expected = serde_json::json!({
            "call": "poll", "status": 404, "code": null, "message": "gone", "contextId": "c-1", "correlationId": null,
        });
        assert_eq!(stored, expected);
    }

    #[test]
    fn a_failure_reads_as_one_sentence() {
        let mut detail = Detail::new("submit", "too fast");
        detail.status = Some(429);
        detail.code = name("too.many.requests");
        let failure = Failure::Throttled { detail: detail.into(), wait: None };
        assert_eq!(failure.to_string(), "throttled: submit answered 429 (too.many.requests): too fast");
    }
}
