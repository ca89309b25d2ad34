//! `[orgs.NAME]`: the Genesys organizations, their credentials and their limits.
//!
//! Invariant: an [`OrgSettings`] is complete; a half-configured org stops the start.

use std::io::Read;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use reqwest::Url;
use secrecy::SecretString;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::files::is_exposed;
use super::merged::Merged;
use super::plain_names::how_to_set;
use super::unbuilt::NOT_BUILT_YET;
use super::{ConfigError, values};

const LONGEST_NAME: usize = 63;
const LARGEST_SECRET_FILE: u64 = 64 * 1024;

/// `[orgs.NAME]`.
#[derive(Debug, Clone)]
pub struct OrgSettings {
    /// The API host, without a trailing path of a call.
    pub base_url: Url,
    /// The login host; the API host where none is set.
    pub login_url: Url,
    pub client_id: String,
    /// Its secret, from `client_secret` or the file that `client_secret_file` names.
    pub client_secret: SecretString,
    /// Which interface of Genesys is spoken.
    pub driver: Driver,
    /// How many ids one job may carry.
    pub max_batch: usize,
    /// How many ids one details call may ask about.
    pub details_batch: usize,
    /// How many upstream jobs may be live at the same time.
    pub max_concurrent_jobs: u32,
    /// How many calls a minute are made at most; none is no limit.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Whether one job may carry conversations of more than one purge.
    pub mix_purges: bool,
    /// More of a hundred jobs that conflict block the org.
    pub max_conflict_percent: usize,
    /// So many jobs are looked at for that.
    pub conflict_jobs: usize,
}

/// Which interface of Genesys an org is spoken to through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// The conversation purge of the analytics API.
    AnalyticsPurge,
}

/// An org as the sources spell it; what is left out has its default.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SpelledOrg {
    #[serde(deserialize_with = "upstream_url")]
    base_url: Option<Url>,
    #[serde(deserialize_with = "upstream_url")]
    login_url: Option<Url>,
    #[serde(deserialize_with = "values::optional_text")]
    client_id: Option<String>,
    #[serde(deserialize_with = "values::optional_secret")]
    client_secret: Option<SecretString>,
    #[serde(deserialize_with = "values::optional_path")]
    client_secret_file: Option<PathBuf>,
    #[serde(deserialize_with = "driver")]
    driver: Driver,
    #[serde(deserialize_with = "values::whole::<1, 1000, _, _>")]
    max_batch: usize,
    #[serde(deserialize_with = "values::whole::<1, 1000, _, _>")]
    details_batch: usize,
    #[serde(deserialize_with = "values::whole::<1, 1000, _, _>")]
    max_concurrent_jobs: u32,
    #[serde(deserialize_with = "values::whole::<0, 100_000, _, _>")]
    requests_per_minute: u32,
    #[serde(deserialize_with = "values::yes_no")]
    mix_purges: bool,
    #[serde(deserialize_with = "values::whole::<1, 100, _, _>")]
    max_conflict_percent: usize,
    #[serde(deserialize_with = "values::whole::<1, 1000, _, _>")]
    conflict_jobs: usize,
}

impl Default for SpelledOrg {
    fn default() -> Self {
        Self {
            base_url: None,
            login_url: None,
            client_id: None,
            client_secret: None,
            client_secret_file: None,
            driver: Driver::AnalyticsPurge,
            max_batch: 500,
            details_batch: 500,
            max_concurrent_jobs: 5,
            requests_per_minute: 300,
            mix_purges: true,
            max_conflict_percent: 90,
            conflict_jobs: 50,
        }
    }
}

impl SpelledOrg {
    /// Completes the org: reads the secret's file, and names what is missing. A file that everybody may read is `exposed`.
    pub(super) fn resolve(
        self,
        name: &str,
        merged: &Merged,
        working_dir: &Path,
        exposed: &mut Vec<String>,
    ) -> Result<OrgSettings, ConfigError> {
        let missing = |setting: &str| {
            let key = ["orgs", name, setting];
            ConfigError::missing(key.join("."), format!("is missing: set {}", how_to_set(&key)))
        };
        let base_url = self.base_url.ok_or_else(|| missing("base_url"))?;
        let client_id = self.client_id.ok_or_else(|| missing("client_id"))?;
        let file_key = ["orgs", name, "client_secret_file"];
        let client_secret = match (self.client_secret, self.client_secret_file) {
            (Some(secret), None) => secret,
            (None, Some(file)) => {
                let path = working_dir.join(&file);
                let secret = read_secret(&path).map_err(|problem| merged.refuse(&file_key, problem))?;
                if is_exposed(&path) {
                    exposed.push(file.display().to_string());
                }
                secret
            }
            (None, None) => return Err(missing("client_secret")),
            (Some(_), Some(_)) => {
                let other = merged.describe_origin(&["orgs", name, "client_secret"]);
                return Err(merged.refuse(&file_key, format!("expected none beside {other}")));
            }
        };
        Ok(OrgSettings {
            login_url: self.login_url.unwrap_or_else(|| base_url.clone()),
            base_url,
            client_id,
            client_secret,
            driver: self.driver,
            max_batch: self.max_batch,
            details_batch: self.details_batch,
            max_concurrent_jobs: self.max_concurrent_jobs,
            requests_per_minute: NonZeroU32::new(self.requests_per_minute),
            mix_purges: self.mix_purges,
            max_conflict_percent: self.max_conflict_percent,
            conflict_jobs: self.conflict_jobs,
        })
    }
}

/// Names are lower-case, because those that come from the environment can't be told apart otherwise.
pub(super) fn check_name(name: &str, merged: &Merged) -> Result<(), ConfigError> {
    let lawful = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(lawful) {
        return Ok(());
    }
    let problem = "expected a name of 1 to 63 lower-case letters, digits, `_` and `-`";
    Err(merged.refuse(&["orgs", name], problem))
}

/// The whole file but for the line break at its end, which editors and `echo` put there.
fn read_secret(path: &Path) -> Result<SecretString, String> {
    let mut secret = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_SECRET_FILE + 1).read_to_string(&mut secret))
        .map_err(|error| format!("can't be read: {error}"))?;
    let trimmed =
        secret.strip_suffix('\n').map_or(secret.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if trimmed.is_empty() {
        return Err("expected a file with the secret in it, and this one is empty".to_owned());
    }
    if trimmed.contains(char::is_control) || secret.len() as u64 > LARGEST_SECRET_FILE {
        return Err("expected a file with the secret and nothing else in it".to_owned());
    }
    Ok(trimmed.into())
}

fn driver<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Driver, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "analytics_purge" => Ok(Driver::AnalyticsPurge),
        _ => Err(D::Error::custom(format_args!("{NOT_BUILT_YET}: expected \"analytics_purge\""))),
    }
}

/// Tokens travel to this host, so the wire must be encrypted unless it never leaves the machine.
fn upstream_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let Some(text) = values::optional_text(deserializer)? else { return Ok(None) };
    let url = Url::parse(&text)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| D::Error::custom("expected a URL such as https://api.mypurecloud.com"))?;
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(D::Error::custom("expected https: plain http is for this machine's own addresses"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(D::Error::custom("expected a URL without a user or password in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(D::Error::custom("expected a URL without `?` and `#`"));
    }
    Ok(Some(url))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}
