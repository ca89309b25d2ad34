//! Where a command runs: its settings, its environment, its data directory, its database.

use std::path::PathBuf;

use super::output;
use crate::app::{Database, World, connect};
use crate::config::{Environment, Settings, Sources};
use crate::postgres::default_data_dir;
use crate::store::{SchemaAge, Store};

/// Read once, before anything else.
pub(super) struct Setting {
    pub(super) environment: Environment,
    pub(super) sources: Sources,
    pub(super) data_dir: PathBuf,
    pub(super) world: World,
}

impl Setting {
    pub(super) fn new(config_file: Option<PathBuf>, data_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let environment = Environment::of_process();
        let sources =
            Sources { config_file, working_dir: std::env::current_dir()?, environment: environment.clone() };
        let data_dir = data_dir.unwrap_or_else(default_data_dir);
        Ok(Self { environment, sources, data_dir, world: World::machine() })
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings::load(&self.sources)?)
    }

    /// Starts logging as the settings say.
    pub(super) fn start_logs(&self, settings: &Settings) -> anyhow::Result<()> {
        Ok(crate::telemetry::init(settings.telemetry.log_format, self.environment.log_filter()?)?)
    }

    /// The database that short commands work on, with a current schema where this command owns the server.
    pub(super) async fn database(&self, settings: &Settings) -> anyhow::Result<(Database, Store)> {
        let database = Database::find(settings, &self.environment, &self.data_dir).await?;
        let store = connect(settings, &self.world, &database.place).await?;
        let age = if database.is_own() { store.migrate().await?.age } else { store.check_ready().await? };
        if let SchemaAge::Newer { found, needed } = age {
            output::note(format_args!(
                "warning: the database's schema is at {found}, and this binary brings {needed}: run the newer version"
            ));
        }
        Ok((database, store))
    }
}
