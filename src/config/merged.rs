//! The values of all layers as one tree, and the errors that name a value's key and source.
//!
//! Invariant: a value is shown only where its key is known to hold no secret; what is unknown is never shown.

use ::config::{Value, ValueKind};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use super::ConfigError;

const SHOWN_CHARS: usize = 80;

/// The values of all layers, each with the source that it came from.
pub(super) struct Merged(Value);

impl Merged {
    pub(super) fn new(root: Value) -> Self {
        Self(root)
    }

    /// Gives every value its type.
    pub(super) fn typed<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(self.0.clone()).map_err(|error| {
            let segments = segments(error.path());
            let key: Vec<&str> = segments.iter().map(String::as_str).collect();
            let problem = problem(error.inner());
            // The value of a key that nobody knows may be a secret under a misspelt name.
            let shown = if problem.starts_with("unknown field") { None } else { self.shown(&key) };
            ConfigError::setting(key.join("."), shown, self.origin(&key), problem)
        })
    }

    /// An error about the value of `key`.
    pub(super) fn refuse(&self, key: &[&str], problem: impl Into<String>) -> ConfigError {
        ConfigError::setting(key.join("."), self.shown(key), self.origin(key), problem)
    }

    /// `key (value, source)`, for an error about another key that has to fit to this one.
    pub(super) fn describe(&self, key: &[&str]) -> String {
        let value = self.shown(key).unwrap_or_default();
        let origin = self.origin(key).unwrap_or_default();
        format!("{} ({value}, from {origin})", key.join("."))
    }

    /// `key (source)`, for an error about another key that can't stand beside this one.
    pub(super) fn describe_origin(&self, key: &[&str]) -> String {
        format!("{} (from {})", key.join("."), self.origin(key).unwrap_or_default())
    }

    fn at(&self, key: &[&str]) -> Option<&Value> {
        key.iter().try_fold(&self.0, |value, segment| match &value.kind {
            ValueKind::Table(table) => table.get(*segment),
            ValueKind::Array(array) => array.get(segment.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The source of a value; of a table, that of a value in it.
    fn origin(&self, key: &[&str]) -> Option<String> {
        let mut value = self.at(key)?;
        while value.origin().is_none()
            && let ValueKind::Table(table) = &value.kind
        {
            value = table.values().next()?;
        }
        value.origin().map(str::to_owned)
    }

    fn shown(&self, key: &[&str]) -> Option<String> {
        if !holds_no_secret(key) {
            return None;
        }
        let text = rendered(self.at(key)?)?;
        // A URL may carry a password or a token where none belongs.
        (!text.contains(['@', '?'])).then(|| shortened(&text))
    }
}

/// The keys whose values an error may show.
fn holds_no_secret(key: &[&str]) -> bool {
    matches!(
        key,
        ["server" | "intake" | "engine" | "retention" | "approval" | "telemetry", _, ..]
            | ["database", "max_connections" | "archive_sha256"]
            | ["webhooks", "timeout" | "retry_schedule" | "allowed_networks" | "allowed_ports", ..]
            | [
                "orgs",
                _,
                "base_url"
                    | "login_url"
                    | "driver"
                    | "max_batch"
                    | "details_batch"
                    | "max_concurrent_jobs"
                    | "requests_per_minute"
                    | "mix_purges"
            ]
    )
}

fn rendered(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Table(_) => None,
        ValueKind::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(rendered).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        ValueKind::String(text) => Some(format!("{text:?}")),
        scalar => Some(scalar.to_string()),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn segments(path: &Path) -> Vec<String> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Unknown => None,
        })
        .collect()
}

/// What is wrong, without the value: serde puts it in front of what it expected, secret or not.
fn problem(error: &::config::ConfigError) -> String {
    match error {
        ::config::ConfigError::At { error, .. } => problem(error),
        ::config::ConfigError::Type { expected, .. } => format!("expected {expected}"),
        ::config::ConfigError::NotFound(_) => "a setting is missing here".to_owned(),
        ::config::ConfigError::Message(message) => match message.rsplit_once(", expected ") {
            Some((given, expected)) if given.starts_with("invalid ") => format!("expected {expected}"),
            _ => message.clone(),
        },
        other => other.to_string(),
    }
}
