//! `[telemetry]`: logs and traces.
//!
//! Invariant: the format only; which lines are written is `RUST_LOG`'s.

use serde::{Deserialize, Deserializer};

use super::{NotBuiltYet, values};

/// `[telemetry]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// How log lines look.
    #[serde(deserialize_with = "log_format")]
    pub log_format: LogFormat,
    /// Where traces are sent.
    #[serde(default)]
    pub otlp_endpoint: NotBuiltYet,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

fn log_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LogFormat, D::Error> {
    values::word(deserializer, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}
