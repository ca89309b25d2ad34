//! Reading the answers of `analytics_purge`.
//!
//! Invariant: pure functions. An answer is read as a whole or not at all: an error says why it can't be relied on.
//! What is doubtful about one conversation alone counts against deleting that one, and harms no other.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    marker::PhantomData,
};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::facts::{End, Facts, Presence},
    genesys::{
        failure::name,
        upstream::{JobStatus, UpstreamJobId},
    },
};

/// A name of a job longer than this is none: it has to fit into an address and a row.
const MAX_JOB_ID: usize = 200;

/// Fields by which an answer says that there is more of it. None is agreed on, but an id that stands on a page that
/// was not read would look as if it were gone.
const MORE: [&str; 4] = ["cursor", "nextUri", "nextPage", "nextPageToken"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    conversation_id: Option<Value>,
    conversation_status: Option<Value>,
    conversation_end: Option<Value>,
    custom_attributes: Option<Value>,
}

/// The facts in a details answer about these ids.
///
/// An id that was not asked for makes the whole answer unreliable: it is an answer to something else, and what it
/// leaves out proves nothing about what was asked.
pub(super) fn facts(body: &[u8], asked: &[Uuid]) -> Result<HashMap<Uuid, Facts>, String> {
    #[derive(Deserialize)]
    struct Details {
        data: Vec<Object<Record>>,
        #[serde(flatten)]
        rest: HashMap<String, Value>,
    }
    let answer: Details = serde_json::from_slice(body).map_err(|error| shape(&error))?;
    if let Some(field) =
        MORE.iter().find(|field| answer.rest.get(**field).is_some_and(|more| !more.is_null()))
    {
        return Err(format!("the answer is one page of several (it has {field})"));
    }
    if answer
        .rest
        .get("totalHits")
        .and_then(Value::as_u64)
        .is_some_and(|hits| hits > answer.data.len() as u64)
    {
        return Err("the answer leaves out some of its totalHits".into());
    }
    let asked: HashSet<&Uuid> = asked.iter().collect();
    let mut facts = HashMap::with_capacity(answer.data.len());
    for Object(record) in answer.data {
        let id =
            record.conversation_id.as_ref().and_then(Value::as_str).and_then(|id| id.parse::<Uuid>().ok());
        let id = id.ok_or("a record has no conversationId that can be read")?;
        if !asked.contains(&id) {
            return Err(format!("the answer is about {id}, which was not asked for"));
        }
        if facts.insert(id, record.facts()).is_some() {
            return Err(format!("the answer is about {id} twice"));
        }
    }
    Ok(facts)
}

impl Record {
    fn facts(&self) -> Facts {
        let status = self.conversation_status.as_ref().and_then(Value::as_str).unwrap_or_default().trim();
        let is_gone = ["deleted", "purged"].iter().any(|gone| status.eq_ignore_ascii_case(gone));
        let presence = match () {
            () if is_gone => Presence::Gone,
            () if self.is_held() => Presence::Held,
            () => Presence::Present,
        };
        Facts { presence, end: self.end() }
    }

    /// Only no mark and a mark of false are no hold. A null is a mark: attributes that exist were set by someone, and
    /// a deletion can't be taken back. So are attributes that are no object: there may be a mark in them.
    fn is_held(&self) -> bool {
        let mark = match &self.custom_attributes {
            None => None,
            Some(Value::Object(attributes)) => attributes.get("legal_hold"),
            Some(unreadable) => Some(unreadable),
        };
        match mark {
            None | Some(Value::Bool(false)) => false,
            Some(Value::String(text)) => !text.trim().eq_ignore_ascii_case("false"),
            Some(_) => true,
        }
    }

    fn end(&self) -> End {
        match &self.conversation_end {
            None => End::NotYet,
            Some(Value::String(text)) => text.parse::<Timestamp>().map_or(End::Unreadable, End::At),
            Some(_) => End::Unreadable,
        }
    }
}

/// The job in the answer to a submit.
pub(super) fn job_id(body: &[u8]) -> Result<UpstreamJobId, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Submitted {
        job_id: String,
    }
    let Object(Submitted { job_id }) = serde_json::from_slice(body).map_err(|error| shape(&error))?;
    let is_name = !matches!(job_id.as_str(), "" | "." | "..")
        && job_id.len() <= MAX_JOB_ID
        && !job_id.chars().any(|c| c.is_control() || c.is_whitespace());
    if is_name { Ok(UpstreamJobId(job_id)) } else { Err("the jobId can't be the name of a job".into()) }
}

/// How far the job is that was asked about.
pub(super) fn job_status(body: &[u8], asked: &str) -> Result<JobStatus, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Polled {
        job_id: Option<String>,
        state: String,
        records_processed: Option<Value>,
    }
    let Object::<Polled>(polled) = serde_json::from_slice(body).map_err(|error| shape(&error))?;
    if polled.job_id.is_some_and(|id| id != asked) {
        return Err("the answer is about another job".into());
    }
    let state = name(&polled.state).ok_or("the answer has an empty state")?;
    // A count that can't be read keeps no job from ending: what was deleted is found out by asking.
    let records_processed = polled.records_processed.as_ref().and_then(Value::as_i64);
    let ended = |succeeded, state| JobStatus::Ended { succeeded, state, records_processed };
    Ok(match state.to_ascii_lowercase().as_str() {
        "completed" => ended(true, state),
        "failed" => ended(false, state),
        _ => JobStatus::Working { state, records_processed },
    })
}

/// A JSON object. Left to itself, serde also reads a list as a struct, its values in the order of the fields.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// What is wrong with the shape of an answer. Of serde's words only those are kept that name our own fields: the
/// others show values, and an answer may hold anything.
fn shape(error: &serde_json::Error) -> String {
    if error.classify() != serde_json::error::Category::Data {
        return "the answer is not whole JSON".into();
    }
    let said = error.to_string();
    let names_a_field = ["missing field", "duplicate field"].iter().any(|start| said.starts_with(start));
    let what =
        if names_a_field { said } else { format!("a value of another type at column {}", error.column()) };
    format!("the answer has not the agreed shape: {what}")
}

#[cfg(test)]
mod tests;
