//! Where a command runs: its settings, its environment, its data directory, its database.

use std::path::PathBuf;

use super::output;
use crate::app::{Database, World, connect};
use crate::config::{Environment, Settings, Sources};
use crate::postgres::{default_data_dir, has_data};
use crate::store::{SchemaAge, Store};

/// Read once, before anything else.
pub(super) struct Setting {
    pub(super) environment: Environment,
    pub(super) sources: Sources,
    pub(super) data_dir: PathBuf,
    /// The same where it was given.
    pub(super) named_data_dir: Option<PathBuf>,
    pub(super) world: World,
}

impl Setting {
    pub(super) fn new(config_file: Option<PathBuf>, data_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let environment = Environment::of_process();
        let sources =
            Sources { config_file, working_dir: std::env::current_dir()?, environment: environment.clone() };
        let named_data_dir = data_dir;
        let data_dir = named_data_dir.clone().unwrap_or_else(default_data_dir);
        Ok(Self { environment, sources, data_dir, named_data_dir, world: World::machine() })
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings::load(&self.sources)?)
    }

    /// Starts logging as the settings say.
    pub(super) fn start_logs(&self, settings: &Settings) -> anyhow::Result<()> {
        Ok(crate::telemetry::init(settings.telemetry.log_format, self.environment.log_filter()?)?)
    }

    /// The database that short commands work on, with a current schema where this command owns the server. They make none:
    /// what they would say of an empty one is not what anybody asked for.
    pub(super) async fn database(&self, settings: &Settings) -> anyhow::Result<(Database, Store)> {
        anyhow::ensure!(
            settings.database.url.is_some() || has_data(&self.data_dir),
            "no database: DATABASE_URL is not set, and there is none in {}; `genesys-purge serve` makes one, and \
             --data-dir names another folder",
            self.data_dir.display()
        );
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
