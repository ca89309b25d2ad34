//! What a conversation looks like in a details answer: drawn from its index, the same at every look.
//!
//! Invariant: a portrait agrees with its kind; whatever else it shows (media, queues, codes) decides nothing here.

use jiff::Timestamp;
use uuid::Uuid;

use super::clock::plus_millis;
use super::kinds::Kind;
use super::permutation::mix;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const MEDIA: [&str; 5] = ["voice", "voice", "chat", "email", "message"];
const WRAP_UPS: [&str; 5] = ["resolved", "callback", "complaint", "sale", "noAnswer"];
const GARBAGE: [&str; 4] = ["", "yesterday", "2021-13-45T00:00:00Z", "0000-00-00 00:00"];
const QUEUES: u64 = 12;
const DIVISIONS: u64 = 3;

/// What details show of a conversation that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Portrait {
    pub(super) status: &'static str,
    pub(super) start: Timestamp,
    pub(super) end: End,
    pub(super) media: &'static str,
    pub(super) queue: Uuid,
    pub(super) division: Uuid,
    pub(super) wrap_up: &'static str,
    pub(super) hold: HoldMark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The field is not there.
    Missing,
    /// The field is null.
    Null,
    At(Timestamp),
    Garbage(&'static str),
}

/// What stands in `customAttributes.legal_hold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldMark {
    /// There are no custom attributes.
    Missing,
    False,
    True,
    /// The text `"true"`.
    TrueAsText,
}

/// The looks of a conversation of a kind, as of a sandbox that was made at `born`.
pub(super) fn draw(kind: Kind, grain: u64, born: Timestamp) -> Portrait {
    let roll = |salt, sides| roll(grain, salt, sides);
    let millis = |salt: u64, from: i64, to: i64| {
        let span = u64::try_from(to - from).unwrap_or(1);
        from + i64::try_from(roll(salt, span)).unwrap_or(0)
    };
    let age = if kind == Kind::Young { millis(1, DAY, 30 * DAY) } else { millis(1, 400 * DAY, 2500 * DAY) };
    let ended = plus_millis(born, -age);
    let started = plus_millis(ended, -millis(2, 10_000, HOUR));
    let (status, start, end) = match kind {
        Kind::Active if roll(3, 4) == 0 => {
            ("completed", plus_millis(born, -millis(4, 60_000, DAY)), End::Null)
        }
        Kind::Active => ("active", plus_millis(born, -millis(4, 60_000, DAY)), End::Missing),
        Kind::Deleted if roll(3, 3) == 0 => ("purged", started, End::At(ended)),
        Kind::Deleted => ("deleted", started, End::At(ended)),
        Kind::UnreadableEnd => ("completed", started, End::Garbage(pick(&GARBAGE, grain, 5))),
        _ => ("completed", started, End::At(ended)),
    };
    let hold = match (kind, roll(6, 4)) {
        (Kind::Held, 0) => HoldMark::TrueAsText,
        (Kind::Held, _) => HoldMark::True,
        (_, 0) => HoldMark::False,
        _ => HoldMark::Missing,
    };
    Portrait {
        status,
        start,
        end,
        media: media(grain),
        queue: pooled(1000 + roll(8, QUEUES)),
        division: pooled(2000 + roll(9, DIVISIONS)),
        wrap_up: pick(&WRAP_UPS, grain, 10),
        hold,
    }
}

/// The medium of a conversation, which an export shows even where details do not know the id.
pub(super) fn media(grain: u64) -> &'static str {
    pick(&MEDIA, grain, 7)
}

/// A throw of a die with so many sides; each salt is a die of its own.
fn roll(grain: u64, salt: u64, sides: u64) -> u64 {
    mix(grain ^ mix(salt)) % sides
}

fn pick(of: &[&'static str], grain: u64, salt: u64) -> &'static str {
    let place = usize::try_from(roll(grain, salt, of.len() as u64)).unwrap_or(0);
    of.get(place).copied().unwrap_or_default()
}

/// Queues and divisions have the same ids in every sandbox, so that retention rules can be written for them.
fn pooled(number: u64) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mix(number).to_be_bytes());
    bytes[8..].copy_from_slice(&mix(!number).to_be_bytes());
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_agree_with_the_kind() {
        let born = plus_millis(Timestamp::UNIX_EPOCH, 20_000 * DAY);
        for kind in Kind::ALL {
            for grain in 0..300 {
                let portrait = draw(kind, mix(grain), born);
                let ended_days_ago = match portrait.end {
                    End::At(end) => Some((born.as_millisecond() - end.as_millisecond()) / DAY),
                    _ => None,
                };
                let held = matches!(portrait.hold, HoldMark::True | HoldMark::TrueAsText);
                assert_eq!(held, kind == Kind::Held, "{kind:?}");
                assert_eq!(
                    matches!(portrait.status, "deleted" | "purged"),
                    kind == Kind::Deleted,
                    "{kind:?}"
                );
                match kind {
                    Kind::Active => assert!(matches!(portrait.end, End::Missing | End::Null)),
                    Kind::UnreadableEnd => match portrait.end {
                        End::Garbage(text) => assert!(text.parse::<Timestamp>().is_err(), "{text}"),
                        other => panic!("{other:?}"),
                    },
                    Kind::Young => assert!(ended_days_ago.unwrap() <= 30),
                    _ => assert!(ended_days_ago.unwrap() >= 399, "{kind:?}"),
                }
            }
        }
    }
}
