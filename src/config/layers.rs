//! All sources, read in their order, and laid over each other.
//!
//! Invariant: which source wins is decided only here; of the settings themselves this file only knows that `PORT` is a
//! part of `server.bind`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use ::config::Config;

use super::files::{is_exposed, read_dotenv, read_file};
use super::layer::Layer;
use super::merged::Merged;
use super::plain_names::{BIND, PLAIN_NAMES, PORT, PREFIX, PURGE_ENV, SEPARATOR};
use super::{ConfigError, Environment, Sources};

const BUILT_IN: &str = include_str!("../../config/default.toml");

/// All layers, the one that wins last.
pub(super) struct Layers {
    stack: Vec<Layer>,
    /// The files that were read.
    files: Vec<String>,
    /// Files of secrets that others may read or change.
    exposed: Vec<String>,
}

impl Layers {
    /// Reads every source there is. Files of the working folder may be missing; files that somebody named must not. With
    /// `--config` the working folder is not looked at: whoever may write there must not turn a service that was told where
    /// its settings are.
    pub(super) fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let dir = &sources.working_dir;
        let is_told = sources.config_file.is_some();
        let dotenv = if is_told { Environment::default() } else { read_dotenv(dir)? };
        let built_in = Layer::from_toml("built-in config/default.toml", BUILT_IN)?;
        let mut layers = Self { stack: vec![built_in], files: Vec::new(), exposed: Vec::new() };

        if !is_told {
            layers.push_file(dir, "config/default.toml")?;
        }
        if let Some(stage) = stage(&sources.environment, &dotenv)? {
            let name = format!("config/{stage}.toml");
            if !layers.push_file(dir, &name)? {
                let problem = format!("no such file, and {PURGE_ENV}={stage} asks for it");
                return Err(ConfigError::source(&name, problem));
            }
        }
        if let Some(path) = &sources.config_file {
            let name = path.display().to_string();
            if !layers.push_file(dir, &name)? {
                return Err(ConfigError::source(&name, "no such file, and --config asks for it"));
            }
        }
        layers.push_variables(&dotenv, |name| format!("{name} in .env"))?;
        if dotenv.iter().next().is_some() {
            layers.note_file(dir, ".env");
        }
        layers.push_variables(&sources.environment, |name| format!("environment variable {name}"))?;
        Ok(layers)
    }

    /// The files that were read, and those among them that hold secrets and that others may read or change; by their names
    /// in errors.
    pub(super) fn files(&self) -> (&[String], &[String]) {
        (&self.files, &self.exposed)
    }

    /// Reads a file; false where there is none.
    fn push_file(&mut self, dir: &Path, name: &str) -> Result<bool, ConfigError> {
        let Some(text) = read_file(&dir.join(name), name)? else { return Ok(false) };
        self.stack.push(Layer::from_toml(name, &text)?);
        self.note_file(dir, name);
        Ok(true)
    }

    /// Notes the file of the last layer.
    fn note_file(&mut self, dir: &Path, name: &str) {
        self.files.push(name.to_owned());
        if self.stack.last().is_some_and(Layer::holds_secret) && is_exposed(&dir.join(name)) {
            self.exposed.push(name.to_owned());
        }
    }

    /// Lays the layers over each other: tables key by key, everything else as a whole.
    pub(super) fn merge(self) -> Result<Merged, ConfigError> {
        let mut builder = Config::builder();
        for layer in self.stack {
            builder = builder.add_source(layer);
        }
        let config =
            builder.build().map_err(|error| ConfigError::source("configuration", error.to_string()))?;
        Ok(Merged::new(config.cache))
    }

    fn push_variables(
        &mut self,
        variables: &Environment,
        origin: impl Fn(&str) -> String,
    ) -> Result<(), ConfigError> {
        let mut layer = Layer::default();
        for (name, key) in PLAIN_NAMES {
            if let Some(value) = variables.text(name)? {
                layer.set(&origin(name), key, value.to_owned())?;
            }
        }
        if let Some(port) = variables.text(PORT)?
            && let Some(bind) = self.bind_with_port(port)?
        {
            layer.set(&origin(PORT), &BIND, bind)?;
        }
        // After the plain names, so that these win.
        for (key, (name, value)) in prefixed(variables)? {
            let key: Vec<&str> = key.split(SEPARATOR).collect();
            layer.set(&origin(&name), &key, value)?;
        }
        layer.check_shape()?;
        self.stack.push(layer);
        Ok(())
    }

    /// `server.bind` of the layers so far with another port; none where it is so wrong that its own error is due.
    fn bind_with_port(&self, port: &str) -> Result<Option<String>, ConfigError> {
        let port: u16 = port
            .parse()
            .map_err(|_| ConfigError::name(PORT, format!("{port:?} is not a port: expected 0 to 65535")))?;
        let below = self.stack.iter().rev().find_map(|layer| layer.text(&BIND));
        let address = below.and_then(|bind| bind.parse::<SocketAddr>().ok());
        Ok(address.map(|address| SocketAddr::new(address.ip(), port).to_string()))
    }
}

/// The stage that `PURGE_ENV` names, in the environment or else in `.env`.
fn stage(environment: &Environment, dotenv: &Environment) -> Result<Option<String>, ConfigError> {
    let Some(stage) = environment.text(PURGE_ENV)?.or(dotenv.text(PURGE_ENV)?) else { return Ok(None) };
    // The name becomes a part of a path.
    if !stage.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err(ConfigError::name(
            PURGE_ENV,
            format!("{stage:?} is not the name of a stage: expected letters, digits, `-` and `_`"),
        ));
    }
    Ok(Some(stage.to_owned()))
}

/// The `PURGE__` variables: key in lower case, with the name as it was written and the value.
fn prefixed(variables: &Environment) -> Result<BTreeMap<String, (String, String)>, ConfigError> {
    let mut found = BTreeMap::new();
    for (name, value) in variables.iter() {
        let lossy_name = name.to_string_lossy();
        let Some(key) = lossy_name.strip_prefix(PREFIX) else { continue };
        let value =
            value.to_str().ok_or_else(|| ConfigError::name(lossy_name.as_ref(), "its value is not UTF-8"))?;
        let replaced =
            found.insert(key.to_ascii_lowercase(), (lossy_name.clone().into_owned(), value.to_owned()));
        if let Some((other, _)) = replaced {
            return Err(ConfigError::name(lossy_name.as_ref(), format!("sets the same key as {other}")));
        }
    }
    Ok(found)
}
