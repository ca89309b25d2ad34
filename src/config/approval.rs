//! `[approval]`: which purges wait for a second person.
//!
//! Invariant: approvals are not built yet, so only "never" is accepted: a purge that should have waited for approval
//! must not run because the setting was ignored.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::unbuilt::NOT_BUILT_YET;

/// `[approval]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalSettings {
    /// Which purges need an approval.
    #[serde(deserialize_with = "required")]
    pub required: ApprovalRequired,
}

/// Which purges need an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalRequired {
    Never,
}

fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ApprovalRequired, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "never" => Ok(ApprovalRequired::Never),
        text if text == "always" || text.parse::<u64>().is_ok() => {
            Err(D::Error::custom(format_args!("{NOT_BUILT_YET}: expected \"never\"")))
        }
        _ => Err(D::Error::custom(
            "expected \"never\" (\"always\" and a number of conversations are not built yet)",
        )),
    }
}
