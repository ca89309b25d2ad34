//! The one place that reads the process environment, once, into a snapshot that is handed around.
//!
//! Invariant: nothing else in this crate asks the process for a variable, so tests hand in a map and can run side by
//! side.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use secrecy::SecretString;

use super::ConfigError;

/// A snapshot of environment variables. Debug output shows the names alone, since values may be secrets.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The variables of this process, as they are now.
    #[expect(clippy::disallowed_methods, reason = "the one reader of the process environment")]
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// A variable as the system gave it; an empty one counts as unset.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable as text; an empty one counts as unset, one that is not UTF-8 is an error that names it.
    pub fn text(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        self.get(name)
            .map(|value| value.to_str().ok_or_else(|| ConfigError::name(name, "its value is not UTF-8")))
            .transpose()
    }

    /// `PATH`: where programs are looked for.
    pub fn path(&self) -> Option<&OsStr> {
        self.get("PATH")
    }

    /// `HOME`: the user's own folder.
    pub fn home(&self) -> Option<&OsStr> {
        self.get("HOME")
    }

    /// `RUST_LOG`: which log lines are wanted.
    pub fn log_filter(&self) -> Result<Option<&str>, ConfigError> {
        self.text("RUST_LOG")
    }

    /// `PURGE_URL`: where the commands that are callers of the service find it.
    pub fn service_url(&self) -> Result<Option<&str>, ConfigError> {
        self.text("PURGE_URL")
    }

    /// `PURGE_API_KEY`: the key of the commands that are callers of the service.
    pub fn api_key(&self) -> Result<Option<SecretString>, ConfigError> {
        Ok(self.text("PURGE_API_KEY")?.map(SecretString::from))
    }

    /// `PURGE_CRASH_AT`: where a process of a test is to die.
    #[cfg(debug_assertions)]
    pub fn crash_point(&self) -> Result<Option<&str>, ConfigError> {
        self.text("PURGE_CRASH_AT")
    }

    /// `NO_COLOR`: what is printed has no colours (no-color.org).
    pub fn wants_no_color(&self) -> bool {
        self.get("NO_COLOR").is_some()
    }

    /// The same snapshot with one variable set, over what it was.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// All variables, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self { variables: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.variables.keys()).finish()
    }
}
