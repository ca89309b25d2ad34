//! The ids of a JSON list, read straight into UUIDs: however many are wrong, only the first ones are reported.

use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::problem::FieldError;
use crate::intake;

/// How many wrong ids are reported.
const TOLD: usize = 20;

/// What a list holds.
#[derive(Debug, Default)]
pub(super) struct SentIds {
    /// Those that are right, in their order.
    ids: Vec<Uuid>,
    /// How many there are, the wrong ones included.
    sent: usize,
    /// The first of the wrong ones, by their place.
    wrong: Vec<(usize, String)>,
}

impl SentIds {
    /// How many there are.
    pub(super) const fn sent(&self) -> usize {
        self.sent
    }

    /// At least one id, each valid; the result is complete only if no error was added.
    pub(super) fn check(self, errors: &mut Vec<FieldError>) -> Vec<Uuid> {
        if self.sent == 0 {
            errors.push(FieldError::new("/conversationIds", "must name at least one conversation"));
        }
        errors.extend(
            self.wrong
                .into_iter()
                .map(|(number, why)| FieldError::new(format!("/conversationIds/{number}"), why)),
        );
        errors.truncate(TOLD);
        self.ids
    }
}

impl<'de> Deserialize<'de> for SentIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List)
    }
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = SentIds;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a sequence of conversation ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<SentIds, A::Error> {
        let mut read = SentIds::default();
        while let Some(id) = list.next_element_seed(One { is_read: read.wrong.len() < TOLD })? {
            match id {
                Some(Ok(id)) => read.ids.push(id),
                Some(Err(why)) => read.wrong.push((read.sent, why)),
                None => {}
            }
            read.sent += 1;
        }
        Ok(read)
    }
}

/// One id, or why it is invalid; nothing if the list is refused anyway.
struct One {
    is_read: bool,
}

impl<'de> DeserializeSeed<'de> for One {
    type Value = Option<Result<Uuid, String>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for One {
    type Value = Option<Result<Uuid, String>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.is_read.then(|| intake::parse_id(text.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_million_wrong_ids_twenty_are_told_and_none_is_kept() {
        let good = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";
        let list = format!("[\"{good}\"{}]", ",\"\"".repeat(1_000_000));
        let read: SentIds = serde_json::from_str(&list).unwrap();
        assert_eq!((read.sent(), read.ids.len(), read.wrong.len()), (1_000_001, 1, TOLD));
        let mut errors = Vec::new();
        read.check(&mut errors);
        assert_eq!(errors.len(), TOLD);
        let none: SentIds = serde_json::from_str("[]").unwrap();
        none.check(&mut errors);
        assert!(
            serde_json::from_str::<SentIds>("[1]").unwrap_err().to_string().contains("expected a string")
        );
    }
}
