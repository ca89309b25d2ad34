//! How values are read: strictly, from TOML and from the text that the environment has for everything.
//!
//! The `config` crate would read `3.7` as 4 and `yes` as 1; in a service that can't undo what it does, neither is
//! good enough. Each function is for `#[serde(deserialize_with)]`. Its error ends with what is expected; what was given
//! is cut off by the one who knows whether it may be shown.
//!
//! Invariant: values know nothing of a key or a section.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use secrecy::SecretString;
use serde::de::value::StrDeserializer;
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// Longer than any wait that makes sense, and short enough that sums of them fit every type they end up in.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// A whole number from `MIN` to `MAX`.
pub(super) fn whole<'de, const MIN: u64, const MAX: u64, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    struct Whole<const MIN: u64, const MAX: u64>;

    impl<const MIN: u64, const MAX: u64> Visitor<'_> for Whole<MIN, MAX> {
        type Value = u64;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a whole number from {MIN} to {MAX}")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
            if (MIN..=MAX).contains(&number) {
                Ok(number)
            } else {
                Err(E::invalid_value(Unexpected::Unsigned(number), &self))
            }
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
            match u64::try_from(number) {
                Ok(number) => self.visit_u64(number),
                Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
            }
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
            match text.trim().parse() {
                Ok(number) => self.visit_u64(number),
                Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
            }
        }
    }

    let number = deserializer.deserialize_any(Whole::<MIN, MAX>)?;
    T::try_from(number).map_err(|_| D::Error::custom(format_args!("expected a number from {MIN} to {MAX}")))
}

/// `true` or `false`, and nothing that only looks like one of them.
pub(super) fn yes_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct YesNo;

    impl Visitor<'_> for YesNo {
        type Value = bool;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("true or false")
        }

        fn visit_bool<E: Error>(self, yes: bool) -> Result<bool, E> {
            Ok(yes)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
            text.trim().parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_any(YesNo)
}

/// A duration that is longer than nothing.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = duration_or_zero(deserializer)?;
    if duration.is_zero() {
        Err(D::Error::custom("expected a duration longer than 0s"))
    } else {
        Ok(duration)
    }
}

/// A duration, `0s` included.
pub(super) fn duration_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    static FRIENDLY: SpanParser = SpanParser::new();
    let text = String::deserialize(deserializer)?;
    match FRIENDLY.parse_unsigned_duration(text.trim()) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err(D::Error::custom("expected a duration of at most 8784h (366 days)")),
        Err(_) => Err(D::Error::custom(
            "expected a duration such as \"500ms\", \"5s\", \"2m\" or \"24h\", with its unit",
        )),
    }
}

/// Durations longer than nothing: a TOML list, or text with commas between; empty text is an empty list.
pub(super) fn durations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    struct Durations;

    impl<'de> Visitor<'de> for Durations {
        type Value = Vec<Duration>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of durations, or text with commas between them")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Duration>, A::Error> {
            #[derive(Deserialize)]
            #[serde(transparent)]
            struct Item(#[serde(deserialize_with = "duration")] Duration);

            let mut durations = Vec::new();
            while let Some(Item(item)) = items.next_element()? {
                durations.push(item);
            }
            Ok(durations)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<Duration>, E> {
            if text.trim().is_empty() {
                return Ok(Vec::new());
            }
            text.split(',').map(|item| duration(StrDeserializer::new(item))).collect()
        }
    }

    deserializer.deserialize_any(Durations)
}

/// Text, where empty text means that nothing is set: it is how a layer takes back what a lower one set.
pub(super) fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(String::deserialize(deserializer)?).filter(|text| !text.is_empty()))
}

/// A secret, where empty text means that nothing is set.
pub(super) fn optional_secret<'de, D>(deserializer: D) -> Result<Option<SecretString>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(optional_text(deserializer)?.map(SecretString::from))
}

/// A path, where empty text means that nothing is set.
pub(super) fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(optional_text(deserializer)?.map(PathBuf::from))
}

/// One of a few words.
pub(super) fn word<'de, T: Copy, D>(deserializer: D, words: &[(&str, T)]) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        D::Error::custom(format_args!("expected {}", words.join(" or ")))
    })
}
