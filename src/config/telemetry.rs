//! `[telemetry]`: logs, metrics and traces.
//!
//! Invariant: which lines are written is `RUST_LOG`'s.

use reqwest::Url;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::values;

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
    /// Where traces are sent: the collector's address, below which `/v1/traces` is; none: nowhere.
    #[serde(default, deserialize_with = "collector")]
    pub otlp_endpoint: Option<Url>,
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

fn collector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let Some(text) = values::optional_text(deserializer)? else { return Ok(None) };
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    match Url::parse(&text) {
        Ok(url) if is_plain(&url) => Ok(Some(url)),
        _ => Err(D::Error::custom(
            "expected the address of a collector (OTLP over HTTP), such as http://localhost:4318",
        )),
    }
}
