//! The checks of `doctor`, one file per group.
//!
//! Invariant: doctor changes nothing. It creates no database, key or secret, sends no event, and makes one query per
//! org to Genesys, under a permit of that org's own limiter if there is a database.

mod clock;
mod database;
mod finding;
mod machine;
mod receiver;
mod records;
mod upstream;

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;

pub use finding::{Finding, Verdict};

use super::World;
use crate::config::{Environment, Settings, Sources};
use crate::store::StoreError;
use database::Connected;

/// No check takes longer.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Practice<'a> {
    /// Where the settings come from.
    pub sources: &'a Sources,
    /// The folder of the embedded server.
    pub data_dir: &'a Path,
    pub world: &'a World,
    /// Genesys and the receiver of webhooks are left alone.
    pub is_offline: bool,
}

impl Practice<'_> {
    fn environment(&self) -> &Environment {
        &self.sources.environment
    }
}

/// Looks at everything; a configuration that can't be read ends it.
pub async fn examine(practice: &Practice<'_>) -> Vec<Finding> {
    let settings = match Settings::load(practice.sources) {
        Ok(settings) => settings,
        Err(error) => {
            let remedy = "config/default.toml tells every setting; what stands in the environment wins";
            return vec![Finding::fail("configuration", error, remedy)];
        }
    };
    let mut findings = vec![match settings.require_orgs() {
        Ok(()) => {
            let names: Vec<&str> = settings.orgs.keys().map(String::as_str).collect();
            let files =
                if settings.files.is_empty() { "no file".to_owned() } else { settings.files.join(", ") };
            Finding::ok("configuration", format_args!("orgs: {}; read from {files}", names.join(", ")))
        }
        Err(_) => Finding::fail(
            "configuration",
            "no Genesys organization: `serve` does not start",
            "set GENESYS_BASE_URL, GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET, or write a section [orgs.NAME]",
        ),
    }];
    if settings.engine.paused {
        findings.push(Finding::warn(
            "engine",
            "engine.paused is true: a service with this configuration accepts purges and begins nothing",
            "set engine.paused to false",
        ));
    }
    findings.push(secrets(&settings.exposed_files));
    findings.extend(machine::examine(&settings).await);
    let (found, connected) = database::examine(practice, &settings).await;
    findings.extend(found);
    let store = connected.as_ref();
    if let Some(connected) = store {
        findings.extend(records::examine(&settings, connected).await);
    }
    let orgs =
        join_all(settings.orgs.iter().map(|(name, org)| upstream::examine(practice, name, org, store)));
    let (orgs, receiver) =
        futures_util::future::join(orgs, receiver::examine(practice, &settings, store)).await;
    findings.extend(orgs.into_iter().flatten().chain(receiver));
    if let Some(Connected { store, .. }) = connected {
        store.close().await;
    }
    findings
}

fn secrets(exposed: &[String]) -> Finding {
    if exposed.is_empty() {
        return Finding::ok("secrets", "no file of secrets that was read is open to others");
    }
    let files = exposed.join(", ");
    let detail = format!("others on this machine can read or change files of secrets: {files}");
    Finding::warn(
        "secrets",
        detail,
        format_args!("chmod o-rw {}, and give them to the user of the service", exposed.join(" ")),
    )
}

/// Asks the database; what it can't tell in time has failed.
async fn asked<T>(
    check: &'static str,
    asking: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Finding> {
    let remedy = "look at the logs of the database";
    match tokio::time::timeout(LONGEST, asking).await {
        Ok(Ok(told)) => Ok(told),
        Ok(Err(error)) => Err(Finding::fail(check, error, remedy)),
        Err(_) => Err(Finding::fail(check, too_long(), remedy)),
    }
}

fn too_long() -> String {
    format!("no answer within {} s", LONGEST.as_secs())
}
