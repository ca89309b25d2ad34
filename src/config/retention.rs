//! `[retention]`: how long conversations are kept before they may be purged.
//!
//! Invariant: the rules' words only; what they mean for a conversation is decided in domain.

use serde::{Deserialize, Deserializer};

use super::{NotBuiltYet, values};

/// `[retention]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    /// Days from a conversation's end until it may be purged; 0 lets every conversation that ended go.
    #[serde(deserialize_with = "values::whole::<0, 36_500, _, _>")]
    pub default_days: u32,
    /// What becomes of a conversation whose end can't be read.
    #[serde(deserialize_with = "unknown_age")]
    pub unknown_age: UnknownAge,
    /// Longer retention for some conversations.
    pub rules: NotBuiltYet,
}

/// What becomes of a conversation whose age is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownAge {
    /// It is kept: when in doubt, nothing is deleted.
    Retain,
    /// It may be purged.
    Purge,
}

fn unknown_age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnknownAge, D::Error> {
    values::word(deserializer, &[("retain", UnknownAge::Retain), ("purge", UnknownAge::Purge)])
}
