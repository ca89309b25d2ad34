//! `[database]`: which Postgres, and how many connections to it.
//!
//! Invariant: the URL carries a password, so it is a secret as a whole.

use reqwest::Url;
use secrecy::SecretString;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::merged::Merged;
use super::{ConfigError, values};

/// `[database]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// Where Postgres is; none means the embedded one.
    #[serde(default, deserialize_with = "url")]
    pub url: Option<SecretString>,
    /// Where the programs of the embedded one come from, on a machine that has none.
    #[serde(default, deserialize_with = "archive_url")]
    pub archive_url: Option<SecretString>,
    /// The checksum of that archive; none means that it is the one whose checksum is built in.
    #[serde(default, deserialize_with = "sha256")]
    pub archive_sha256: Option<[u8; 32]>,
    /// What a promoted standby means.
    pub promotion: Promotion,
    /// What stands before the server that `url` names.
    #[serde(deserialize_with = "pooler")]
    pub pooler: Pooler,
    /// How many connections one process holds at most, over all its pools. Listening, the engine, requests and uploads
    /// need one each that none of the others can take, hence at least 4.
    #[serde(deserialize_with = "values::whole::<4, 1000, _, _>")]
    pub max_connections: u32,
}

/// `database.promotion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promotion {
    /// Commits may be missing: every org is stopped.
    Check,
    /// Only synchronous standbys are promoted.
    Lossless,
}

/// `database.pooler`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or something that gives each connection a session of its own.
    None,
    /// Each transaction may be on another session.
    Transaction,
}

impl DatabaseSettings {
    /// The rules between values.
    pub(super) fn check(&self, merged: &Merged) -> Result<(), ConfigError> {
        if self.pooler == Pooler::Transaction && self.url.is_none() {
            let problem = "expected none beside the embedded Postgres: set database.url".to_owned();
            return Err(merged.refuse(&["database", "pooler"], problem));
        }
        if self.archive_sha256.is_some() && self.archive_url.is_none() {
            let problem = "expected none without database.archive_url".to_owned();
            return Err(merged.refuse(&["database", "archive_sha256"], problem));
        }
        Ok(())
    }
}

fn pooler<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pooler, D::Error> {
    values::word(deserializer, &[("none", Pooler::None), ("transaction", Pooler::Transaction)])
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let Some(text) = values::optional_text(deserializer)? else { return Ok(None) };
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Ok(Some(text.into())),
        _ => Err(D::Error::custom("expected a URL such as postgres://user:password@host:5432/database")),
    }
}

fn archive_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let Some(text) = values::optional_text(deserializer)? else { return Ok(None) };
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(text.into())),
        _ => Err(D::Error::custom("expected a URL such as https://mirror.internal/postgres-17.tgz")),
    }
}

fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
    let Some(text) = values::optional_text(deserializer)? else { return Ok(None) };
    let mut bytes = [0; 32];
    hex::decode_to_slice(&text, &mut bytes)
        .map_err(|_| D::Error::custom("expected a SHA-256, 64 hexadecimal digits"))?;
    Ok(Some(bytes))
}
