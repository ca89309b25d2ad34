//! Settings of the contract that are not built yet: refused, never ignored.
//!
//! Invariant: a setting without effect is never accepted.

use std::fmt;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What an error says of them.
pub(super) const NOT_BUILT_YET: &str = "not built yet";

/// A setting that must stay empty, until what it sets is built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotBuiltYet;

impl<'de> Deserialize<'de> for NotBuiltYet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Empty;

        impl<'de> Visitor<'de> for Empty {
            type Value = NotBuiltYet;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "nothing: {NOT_BUILT_YET}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<NotBuiltYet, E> {
                if text.is_empty() { Ok(NotBuiltYet) } else { Err(refused()) }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<NotBuiltYet, A::Error> {
                if items.next_element::<IgnoredAny>()?.is_none() { Ok(NotBuiltYet) } else { Err(refused()) }
            }
        }

        deserializer.deserialize_any(Empty)
    }
}

fn refused<E: Error>() -> E {
    E::custom(format_args!("{NOT_BUILT_YET}: leave it out"))
}
