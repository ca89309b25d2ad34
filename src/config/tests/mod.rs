//! Settings, from sources on disk and in maps to values and to the one line of an error.

mod defaults;
mod refusals;
mod sources;

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

const ORG: &str =
    "[orgs.eu]\nbase_url = 'https://api.mypurecloud.de'\nclient_id = 'id'\nclient_secret = 'hunter2'\n";
const GENESYS: [(&str, &str); 3] = [
    ("GENESYS_BASE_URL", "https://api.mypurecloud.com"),
    ("GENESYS_CLIENT_ID", "id"),
    ("GENESYS_CLIENT_SECRET", "hunter2"),
];

/// A working folder of its own, with a configuration that grows line by line.
struct Fixture {
    dir: TempDir,
    config_file: Option<PathBuf>,
    environment: Environment,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, config_file: None, environment: Environment::default() }
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn config_file(mut self, text: &str) -> Self {
        self.config_file = Some(PathBuf::from("given.toml"));
        self.file("given.toml", text)
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.environment = self.environment.with(name, value);
        self
    }

    fn genesys(self) -> Self {
        GENESYS.into_iter().fold(self, |fixture, (name, value)| fixture.env(name, value))
    }

    fn load(&self) -> Result<Settings, ConfigError> {
        Settings::load(&Sources {
            config_file: self.config_file.clone(),
            working_dir: self.dir.path().to_owned(),
            environment: self.environment.clone(),
        })
    }

    fn settings(&self) -> Settings {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }

    fn error(&self) -> String {
        let line = self.load().expect_err("a bad configuration").to_string();
        assert!(!line.contains(char::is_control), "more than one line: {line:?}");
        line
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
