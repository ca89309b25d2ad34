//! `[intake]`: what one request may bring, and where it is spooled.
//!
//! Invariant: limits only; how ids are read is intake's.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{ByteSize, Sources, values};

/// `[intake]`.
#[derive(Debug, Clone)]
pub struct IntakeSettings {
    /// The folder for the temporary files of uploads (40 bytes an id); absolute where the working folder is.
    pub spool_dir: PathBuf,
    /// How many ids one purge may have.
    pub max_ids: u64,
    /// How many purges a minute one key may send; nothing is no limit.
    pub purges_per_minute: Option<NonZeroU32>,
    /// How many purges of one key may be open at once; nothing is no limit.
    pub open_purges_per_key: Option<NonZeroU32>,
    /// How large a JSON body may be; larger lists come as CSV or NDJSON.
    pub max_json: ByteSize,
    /// How long an upload may take.
    pub upload_timeout: Duration,
    /// How much of a body must come in a second.
    pub min_rate: ByteSize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpelledIntake {
    #[serde(default, deserialize_with = "values::optional_path")]
    spool_dir: Option<PathBuf>,
    #[serde(deserialize_with = "values::whole::<1, 100_000_000, _, _>")]
    max_ids: u64,
    #[serde(deserialize_with = "values::whole::<0, 1_000_000, _, _>")]
    purges_per_minute: u32,
    #[serde(deserialize_with = "values::whole::<0, 1_000_000, _, _>")]
    open_purges_per_key: u32,
    #[serde(deserialize_with = "max_json")]
    max_json: ByteSize,
    #[serde(deserialize_with = "values::duration")]
    upload_timeout: Duration,
    #[serde(deserialize_with = "min_rate")]
    min_rate: ByteSize,
}

impl SpelledIntake {
    pub(super) fn resolve(self, sources: &Sources) -> IntakeSettings {
        let spool_dir = self.spool_dir.unwrap_or_else(|| system_temporary_folder(sources));
        IntakeSettings {
            spool_dir: sources.working_dir.join(spool_dir),
            max_ids: self.max_ids,
            purges_per_minute: NonZeroU32::new(self.purges_per_minute),
            open_purges_per_key: NonZeroU32::new(self.open_purges_per_key),
            max_json: self.max_json,
            upload_timeout: self.upload_timeout,
            min_rate: self.min_rate,
        }
    }
}

/// `TMPDIR`, else `/var/tmp` before `/tmp`: on many systems `/tmp` is memory, which spooling is there to save.
fn system_temporary_folder(sources: &Sources) -> PathBuf {
    let var_tmp = Path::new("/var/tmp");
    match sources.environment.get("TMPDIR") {
        Some(folder) => PathBuf::from(folder),
        None if var_tmp.is_dir() => var_tmp.to_owned(),
        None => PathBuf::from("/tmp"),
    }
}

/// A JSON body is held in memory as a whole, hence the upper bound.
fn max_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    if (1024..=ByteSize::mib(256).bytes()).contains(&size.bytes()) {
        Ok(size)
    } else {
        Err(D::Error::custom("expected a size from \"1 KiB\" to \"256 MiB\""))
    }
}

/// More than a slow line carries would refuse callers who do their best.
fn min_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    if size <= ByteSize::mib(1) { Ok(size) } else { Err(D::Error::custom("expected a size up to \"1 MiB\"")) }
}
