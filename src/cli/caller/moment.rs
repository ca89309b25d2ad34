//! Times on the command line: moments, and how long ago.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::fmt::friendly::SpanParser;

use crate::cli::setting::Setting;

/// Longer than anybody waits, and short enough to be added to any moment.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// A length of time as the settings write it.
pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    static FRIENDLY: SpanParser = SpanParser::new();
    match FRIENDLY.parse_unsigned_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err("expected a time such as 30s, 10m or 2h".to_owned()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Since {
    At(Timestamp),
    Ago(Duration),
}

impl Since {
    pub(in crate::cli) fn moment(self, setting: &Setting) -> anyhow::Result<Timestamp> {
        match self {
            Self::At(moment) => Ok(moment),
            Self::Ago(ago) => {
                (setting.world.clock())().checked_sub(ago).context("that is longer ago than can be told")
            }
        }
    }
}

pub(in crate::cli) fn since(text: &str) -> Result<Since, String> {
    text.parse().map(Since::At).or_else(|_| duration(text).map(Since::Ago)).map_err(|_| {
        "expected a time such as 2026-11-25T12:00:00Z, or how long ago, such as 30m or 2h".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_settings_write_them() {
        for (text, millis) in [("500ms", 500), ("5s", 5000), ("10m", 600_000), ("2h", 7_200_000), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "m", "-1s", "99999999999999999999s", "5000000h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_a_moment_or_how_long_ago() {
        let moment: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-25T12:00:00Z", Some(Since::At(moment))),
            ("2026-11-25T13:00:00+01:00", Some(Since::At(moment))),
            ("2h", Some(Since::Ago(Duration::from_hours(2)))),
            ("yesterday", None),
            ("2026-11-25", None),
            ("", None),
        ] {
            assert_eq!(since(text).ok(), expected, "{text}");
        }
    }
}
