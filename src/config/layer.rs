//! One source's values, by section, each with the name of where it came from.
//!
//! Invariant: a layer knows the shape of the settings (sections of keys), never a key's type or meaning.

use std::fmt;

use ::config::{File, FileFormat, Map, Source, Value, ValueKind};

use super::ConfigError;
use super::files::toml_problem;

/// What nobody else may know, beside the secrets of orgs. URLs may carry a password or a token.
const SECRETS: [(&str, &str); 3] = [("database", "url"), ("webhooks", "url"), ("webhooks", "secret")];

/// One source's values, by section.
#[derive(Clone, Default)]
pub(super) struct Layer {
    values: Map<String, Value>,
}

impl Layer {
    /// A layer from the text of a TOML file; `origin` is the name that errors give it.
    pub(super) fn from_toml(origin: &str, text: &str) -> Result<Self, ConfigError> {
        let values = File::from_str(text, FileFormat::Toml)
            .collect()
            .map_err(|error| ConfigError::source(origin, toml_problem(&error)))?;
        let values = values.into_iter().map(|(key, value)| (key, with_origin(value, origin))).collect();
        let layer = Self { values };
        layer.check_shape()?;
        Ok(layer)
    }

    /// The text at `section.key`, where there is one.
    pub(super) fn text(&self, key: &[&str; 2]) -> Option<&str> {
        let ValueKind::Table(section) = &self.values.get(key[0])?.kind else { return None };
        let ValueKind::String(text) = &section.get(key[1])?.kind else { return None };
        Some(text)
    }

    /// Whether it sets something that nobody else may know.
    pub(super) fn holds_secret(&self) -> bool {
        let sets = |section: &str, key: &str| match self.values.get(section).map(|value| &value.kind) {
            Some(ValueKind::Table(keys)) => keys.contains_key(key),
            _ => false,
        };
        let has_org_secret = match self.values.get("orgs").map(|value| &value.kind) {
            Some(ValueKind::Table(orgs)) => orgs
                .values()
                .any(|org| matches!(&org.kind, ValueKind::Table(keys) if keys.contains_key("client_secret"))),
            _ => false,
        };
        has_org_secret || SECRETS.iter().any(|(section, key)| sets(section, key))
    }

    /// Sets one value, making the tables that lead to it; `origin` is the name that errors give its source.
    pub(super) fn set(&mut self, origin: &str, key: &[&str], value: String) -> Result<(), ConfigError> {
        let origin = origin.to_owned();
        let not_below = |at: &str| {
            let problem = format!("`{at}` is both a value and a section");
            ConfigError::setting(key.join("."), None, Some(origin.clone()), problem)
        };
        let (last, tables) = key.split_last().unwrap_or((&"", &[]));
        let mut values = &mut self.values;
        for table in tables {
            let child = values
                .entry((*table).to_owned())
                .or_insert_with(|| Value::new(Some(&origin), Map::<String, Value>::new()));
            let ValueKind::Table(next) = &mut child.kind else { return Err(not_below(table)) };
            values = next;
        }
        values.insert((*last).to_owned(), Value::new(Some(&origin), value));
        Ok(())
    }

    /// Every section, and every org, is a table: a value in its place would take all of the section's settings away,
    /// and serde would quote it in its complaint.
    pub(super) fn check_shape(&self) -> Result<(), ConfigError> {
        for (section, value) in &self.values {
            let ValueKind::Table(keys) = &value.kind else { return Err(no_section(section, value)) };
            if section != "orgs" {
                continue;
            }
            for (name, org) in keys {
                if !matches!(org.kind, ValueKind::Table(_)) {
                    return Err(no_section(&format!("orgs.{name}"), org));
                }
            }
        }
        Ok(())
    }
}

fn no_section(key: &str, value: &Value) -> ConfigError {
    let origin = value.origin().map(str::to_owned);
    ConfigError::setting(key, None, origin, "expected a section of settings, not a value")
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.values.clone())
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may be secrets.
        formatter.debug_struct("Layer").finish_non_exhaustive()
    }
}

fn with_origin(value: Value, origin: &str) -> Value {
    let origin_name = origin.to_owned();
    let kind = match value.kind {
        ValueKind::Table(table) => ValueKind::Table(
            table.into_iter().map(|(key, child)| (key, with_origin(child, origin))).collect(),
        ),
        ValueKind::Array(array) => {
            ValueKind::Array(array.into_iter().map(|child| with_origin(child, origin)).collect())
        }
        scalar => scalar,
    };
    Value::new(Some(&origin_name), kind)
}
