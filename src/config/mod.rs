//! Typed settings: their sources, their checks, and their errors.
//!
//! [`Settings::load`] merges the sources, each overriding the ones before it:
//!
//! 1. `config/default.toml`: built into the binary, then the file of the working folder where there is one
//! 2. `config/{PURGE_ENV}.toml`
//! 3. the file given with `--config`
//! 4. `.env` in the working folder
//! 5. the environment
//!
//! With `--config` nothing in the working folder is read, except the file that `PURGE_ENV` of the environment names.
//!
//! In the last two, `PURGE__SECTION__KEY` names any setting, and some have plain names as well (`DATABASE_URL`, the
//! `GENESYS_` and `RETENTION_WEBHOOK_` ones, `PORT`); where both name the same setting in the same layer, `PURGE__` wins.
//!
//! Invariant: config is the only reader of the process environment, never changes it, and names no other folder of
//! this crate. No secret appears in an error or in debug output.

mod approval;
mod byte_size;
mod database;
mod engine;
mod environment;
mod error;
mod files;
mod intake;
mod layer;
mod layers;
mod merged;
mod networks;
mod orgs;
mod plain_names;
mod retention;
mod server;
mod telemetry;
mod unbuilt;
mod values;
mod webhooks;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

pub use approval::{ApprovalRequired, ApprovalSettings};
pub use byte_size::ByteSize;
pub use database::{DatabaseSettings, Pooler, Promotion};
pub use engine::EngineSettings;
pub use environment::Environment;
pub use error::ConfigError;
pub use intake::IntakeSettings;
pub use orgs::{Driver, OrgSettings};
pub use retention::{RetentionSettings, UnknownAge};
pub use server::ServerSettings;
pub use telemetry::{LogFormat, MetricsAccess, TelemetrySettings};
pub use unbuilt::NotBuiltYet;
pub use webhooks::{ReceiverUrl, WebhookSettings};

use layers::Layers;
use merged::Merged;

/// Where settings are looked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file given with `--config`; it must exist.
    pub config_file: Option<PathBuf>,
    /// The folder that `config/`, `.env` and all relative paths are looked for in.
    pub working_dir: PathBuf,
    /// The snapshot of the environment.
    pub environment: Environment,
}

/// All settings, complete and checked: what is in here can be used without a second look.
///
/// What each key means, its unit and when to change it stands in `config/default.toml`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[server]`: the HTTP server.
    pub server: ServerSettings,
    /// `[database]`: Postgres.
    pub database: DatabaseSettings,
    /// `[intake]`: what one request may bring.
    pub intake: IntakeSettings,
    /// `[engine]`: the pace of the work.
    pub engine: EngineSettings,
    /// `[orgs.NAME]`: the Genesys organizations by name. Empty is lawful: many commands need none.
    pub orgs: BTreeMap<String, OrgSettings>,
    /// `[retention]`: how long conversations are kept.
    pub retention: RetentionSettings,
    /// `[approval]`: which purges wait for a second person.
    pub approval: ApprovalSettings,
    /// `[webhooks]`: the operator's receiver and how deliveries are repeated.
    pub webhooks: WebhookSettings,
    /// `[telemetry]`: logs and traces.
    pub telemetry: TelemetrySettings,
    /// The files that the settings were read from.
    pub files: Vec<String>,
    /// Files of secrets among those that were read, which others may read or change.
    pub exposed_files: Vec<String>,
}

/// The settings as the sources spell them; the orgs are not yet complete.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    server: ServerSettings,
    database: DatabaseSettings,
    intake: intake::SpelledIntake,
    engine: EngineSettings,
    #[serde(default)]
    orgs: BTreeMap<String, orgs::SpelledOrg>,
    retention: RetentionSettings,
    approval: ApprovalSettings,
    webhooks: WebhookSettings,
    telemetry: TelemetrySettings,
}

impl Settings {
    /// Reads all sources, and checks every value and every rule between values.
    ///
    /// The error is one line that names the key, the value where it is no secret, the source that it came from, and
    /// what is expected instead.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let layers = Layers::read(sources)?;
        let (files, exposed) = layers.files();
        let (files, mut exposed_files) = (files.to_vec(), exposed.to_vec());
        let merged = layers.merge()?;
        let spelled: Spelled = merged.typed()?;
        spelled.database.check(&merged)?;
        spelled.engine.check(&merged)?;
        spelled.webhooks.check(&merged, spelled.engine.lease)?;
        Ok(Self {
            server: spelled.server,
            database: spelled.database,
            intake: spelled.intake.resolve(sources),
            engine: spelled.engine,
            orgs: resolve_orgs(spelled.orgs, &merged, sources, &mut exposed_files)?,
            retention: spelled.retention,
            approval: spelled.approval,
            webhooks: spelled.webhooks,
            telemetry: spelled.telemetry,
            files,
            exposed_files,
        })
    }

    /// Fails where no org is configured, for commands that can do nothing without one.
    pub fn require_orgs(&self) -> Result<(), ConfigError> {
        if self.orgs.is_empty() {
            return Err(ConfigError::missing(
                "orgs",
                "no Genesys organization is configured: set GENESYS_BASE_URL, GENESYS_CLIENT_ID and \
                 GENESYS_CLIENT_SECRET, or write a section [orgs.NAME]",
            ));
        }
        Ok(())
    }
}

fn resolve_orgs(
    spelled: BTreeMap<String, orgs::SpelledOrg>,
    merged: &Merged,
    sources: &Sources,
    exposed: &mut Vec<String>,
) -> Result<BTreeMap<String, OrgSettings>, ConfigError> {
    // All names first: a name in the wrong letter case splits one org in two, and then the half without credentials
    // would be complained about instead of the name.
    for name in spelled.keys() {
        orgs::check_name(name, merged)?;
    }
    spelled
        .into_iter()
        .map(|(name, org)| {
            let org = org.resolve(&name, merged, &sources.working_dir, exposed)?;
            Ok((name, org))
        })
        .collect()
}
