//! `[telemetry]`: logs, metrics and traces.
//!
//! Invariant: the format of logs only; which lines are written is `RUST_LOG`'s.

use serde::{Deserialize, Deserializer};

use super::{NotBuiltYet, values};

/// `[telemetry]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// How log lines look.
    #[serde(deserialize_with = "log_format")]
    pub log_format: LogFormat,
    /// Who may read the metrics.
    #[serde(deserialize_with = "metrics_access")]
    pub metrics: MetricsAccess,
    /// Where traces are sent.
    #[serde(default)]
    pub otlp_endpoint: NotBuiltYet,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Who may read the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Keys with the scope `admin`.
    Key,
    /// Anybody who reaches the port.
    Open,
}

fn metrics_access<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MetricsAccess, D::Error> {
    values::word(deserializer, &[("key", MetricsAccess::Key), ("open", MetricsAccess::Open)])
}

fn log_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LogFormat, D::Error> {
    values::word(deserializer, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}
