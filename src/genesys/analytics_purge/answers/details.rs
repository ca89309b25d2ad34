//! Reading a details answer: its records one at a time, and whether they are complete.
//!
//! Invariant: records of other ids are skipped without being built, so that an answer costs no more than its own
//! length, and no more records are read than ids were queried.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{shape, whole::Signs};
use crate::{
    domain::facts::{End, Facts, Presence},
    genesys::json::{Object, even_null, text},
};

/// What a details answer told.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Details {
    pub(in super::super) facts: HashMap<Uuid, Facts>,
    /// Why what it leaves out proves nothing; `None`: it is whole.
    pub(in super::super) missing: Option<String>,
}

/// The facts in a details answer about these ids.
///
/// An id that was not asked for makes the whole answer unreliable: it is an answer to something else, and what it
/// says proves nothing about what was asked.
pub(in super::super) fn details(body: &[u8], asked: &[Uuid]) -> Result<Details, String> {
    let mut reading = Reading {
        asked: asked.iter().collect(),
        facts: HashMap::with_capacity(asked.len()),
        signs: Signs::default(),
        fault: None,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = deserializer.deserialize_map(Answer(&mut reading)).and_then(|()| deserializer.end());
    if let Some(fault) = reading.fault {
        return Err(fault);
    }
    read.map_err(|error| shape(&error))?;
    let missing = reading.signs.missing(reading.facts.len());
    Ok(Details { facts: reading.facts, missing })
}

/// How far an answer is read.
struct Reading<'a> {
    asked: HashSet<&'a Uuid>,
    facts: HashMap<Uuid, Facts>,
    signs: Signs,
    /// Why no record of it can be relied on.
    fault: Option<String>,
}

impl Reading<'_> {
    fn add(&mut self, record: &Record<'_>) -> Result<(), String> {
        let id = record.conversation_id.and_then(text).and_then(|id| id.parse::<Uuid>().ok());
        let id = id.ok_or("a record has no readable conversationId")?;
        if !self.asked.contains(&id) {
            return Err(format!("the answer is about {id}, which was not asked for"));
        }
        match self.facts.insert(id, record.facts()) {
            None => Ok(()),
            Some(_) => Err(format!("the answer is about {id} twice")),
        }
    }
}

/// The object that an answer is.
struct Answer<'r, 'a>(&'r mut Reading<'a>);

impl<'de> Visitor<'de> for Answer<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut has_data = false;
        while let Some(field) = fields.next_key::<String>()? {
            if field == "data" {
                if std::mem::replace(&mut has_data, true) {
                    return Err(Error::duplicate_field("data"));
                }
                fields.next_value_seed(Records(self.0))?;
            } else {
                self.0.signs.note(&field, fields.next_value()?);
            }
        }
        if has_data { Ok(()) } else { Err(Error::missing_field("data")) }
    }
}

/// The list of records.
struct Records<'r, 'a>(&'r mut Reading<'a>);

impl<'de> DeserializeSeed<'de> for Records<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        while let Some(Object(record)) = records.next_element()? {
            if let Err(fault) = self.0.add(&record) {
                self.0.fault = Some(fault);
                return Err(Error::custom("see the fault"));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow)]
    conversation_id: Option<&'a RawValue>,
    #[serde(borrow)]
    conversation_status: Option<&'a RawValue>,
    #[serde(borrow)]
    conversation_start: Option<&'a RawValue>,
    #[serde(borrow)]
    conversation_end: Option<&'a RawValue>,
    #[serde(borrow)]
    custom_attributes: Option<&'a RawValue>,
}

impl Record<'_> {
    fn facts(&self) -> Facts {
        let status = self.conversation_status.and_then(text).unwrap_or_default();
        let is_gone = ["deleted", "purged"].iter().any(|gone| status.trim().eq_ignore_ascii_case(gone));
        let presence = match () {
            () if is_gone => Presence::Gone,
            () if self.is_held() => Presence::Held,
            () => Presence::Present,
        };
        Facts { presence, end: self.end() }
    }

    /// Only no mark and a mark of false are no hold. A null is a mark: attributes that exist were set by someone, and
    /// a deletion can't be taken back. So are attributes that are no object, or in which the mark stands twice: there
    /// may be a mark in them.
    fn is_held(&self) -> bool {
        #[derive(Deserialize)]
        struct Attributes<'a> {
            #[serde(borrow, default, deserialize_with = "even_null")]
            legal_hold: Option<&'a RawValue>,
        }
        let Some(attributes) = self.custom_attributes else { return false };
        match serde_json::from_str::<Object<Attributes<'_>>>(attributes.get()) {
            Ok(Object(Attributes { legal_hold: None })) => false,
            Ok(Object(Attributes { legal_hold: Some(mark) })) => {
                let is_false = mark.get() == "false"
                    || text(mark).is_some_and(|mark| mark.trim().eq_ignore_ascii_case("false"));
                !is_false
            }
            Err(_) => true,
        }
    }

    /// The start is only compared with: no end lies before it, and beside one that can't be read an end is not believed.
    fn end(&self) -> End {
        match (self.conversation_end.map(time), self.conversation_start.map(time)) {
            (None, _) => End::NotYet,
            (Some(None), Some(Some(start))) => End::Unsure(start),
            (Some(None), None | Some(None)) => End::Unreadable,
            (Some(Some(end)), Some(None)) => End::Unsure(end),
            (Some(Some(end)), Some(Some(start))) if end < start => End::Unsure(start),
            (Some(Some(end)), None | Some(Some(_))) => End::At(end),
        }
    }
}

/// The moment that a value tells, if it tells one.
fn time(value: &RawValue) -> Option<Timestamp> {
    text(value)?.parse().ok()
}
