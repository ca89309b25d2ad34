//! The one-line error for a wrong configuration.
//!
//! Invariant: an error never holds a secret; its creator decides what may be shown.

/// Why the settings can't be used: always one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A source can't be read, or is not what its name promises.
    #[error("{source_name}: {problem}")]
    Source {
        source_name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An environment variable can't be used, whatever it sets.
    #[error("environment variable {name}: {problem}")]
    Name {
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting is unknown, missing or has a bad value.
    #[error("{}", setting_line(.key, .value.as_deref(), .origin.as_deref(), .problem))]
    Setting {
        /// The key, as `section.key`.
        key: String,
        /// The value as it was given, where it can't be a secret.
        value: Option<String>,
        /// The source that set it; none where nothing did.
        origin: Option<String>,
        /// What is wrong and what is expected.
        problem: String,
    },
}

impl ConfigError {
    pub(super) fn source(source_name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Source { source_name: one_line(source_name), problem: one_line(problem) }
    }

    pub(super) fn name(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Name { name: one_line(name), problem: one_line(problem) }
    }

    pub(super) fn missing(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::setting(key, None, None, problem)
    }

    pub(super) fn setting(
        key: impl Into<String>,
        value: Option<String>,
        origin: Option<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Setting {
            key: one_line(key),
            value: value.map(one_line),
            origin: origin.map(one_line),
            problem: one_line(problem),
        }
    }
}

fn setting_line(key: &str, value: Option<&str>, origin: Option<&str>, problem: &str) -> String {
    match (value, origin) {
        (Some(value), Some(origin)) => format!("{key} = {value} (from {origin}): {problem}"),
        (Some(value), None) => format!("{key} = {value}: {problem}"),
        (None, Some(origin)) => format!("{key} (from {origin}): {problem}"),
        (None, None) => format!("{key}: {problem}"),
    }
}

/// Keys, file names and parser messages may hold line breaks; an operator's log gets one line.
fn one_line(text: impl Into<String>) -> String {
    let text = text.into();
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}
