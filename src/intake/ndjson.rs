//! NDJSON to ids: one JSON value a line, `"id"` or `{"conversationId": "id"}`.
//!
//! Other fields of an object are skipped, since exports carry them; a second `conversationId` is refused, in any spelling,
//! since two readers of one line could take it for two different conversations. Blank lines are skipped, and the last
//! line needs no line break.
//!
//! Invariant: of a line that is not complete yet at most the longest allowed line is held.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::IntakeError;
use super::id::{is_id_name, parse_id};
use super::lines::{Sink, too_long, without_mark};

/// Cuts an upload into lines and reads each of them.
#[derive(Debug)]
pub(super) struct NdjsonParser {
    max_line: usize,
    /// The number of the line that is being read.
    line: u64,
    /// Its beginning, as far as it came in earlier bytes.
    held: Vec<u8>,
    /// Whether it passed the limit, so that the rest of it is skipped.
    too_long: bool,
}

impl NdjsonParser {
    pub(super) fn new(max_line: usize) -> Self {
        Self { max_line, line: 1, held: Vec::new(), too_long: false }
    }

    pub(super) fn feed(&mut self, mut input: &[u8], sink: &mut impl Sink) -> Result<(), IntakeError> {
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            self.end_line(&input[..end], sink)?;
            input = &input[end + 1..];
        }
        self.hold(input)
    }

    pub(super) fn finish(mut self, sink: &mut impl Sink) -> Result<(), IntakeError> {
        self.end_line(&[], sink)
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), IntakeError> {
        if self.too_long {
            return Ok(());
        }
        if self.held.len() + part.len() <= self.max_line {
            self.held.extend_from_slice(part);
            return Ok(());
        }
        if self.line == 1 {
            self.held.extend_from_slice(&part[..part.len().min(2)]);
            without_mark(&self.held)?;
        }
        self.too_long = true;
        self.held = Vec::new();
        Ok(())
    }

    /// Reads a line of which `tail` is what did not come before.
    fn end_line(&mut self, tail: &[u8], sink: &mut impl Sink) -> Result<(), IntakeError> {
        // The whole line lies in one piece of input nearly always: it is read where it lies.
        if self.held.is_empty() && !self.too_long && tail.len() <= self.max_line {
            self.take(tail, sink)?;
        } else {
            self.hold(tail)?;
            if self.too_long {
                sink.bad(self.line, too_long("the line", self.max_line))?;
            } else {
                let mut line = std::mem::take(&mut self.held);
                self.take(&line, sink)?;
                line.clear();
                self.held = line;
            }
        }
        self.too_long = false;
        self.line += 1;
        Ok(())
    }

    fn take(&self, line: &[u8], sink: &mut impl Sink) -> Result<(), IntakeError> {
        let line = if self.line == 1 { without_mark(line)? } else { line }.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        match read(line) {
            Ok(id) => sink.id(id),
            Err(detail) => sink.bad(self.line, detail),
        }
    }
}

/// What matters of an object.
struct Object<'a> {
    conversation_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// Refuses a second field that can be meant as the id.
struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Object<'de>, A::Error> {
        let (mut conversation_id, mut named) = (None, 0);
        while let Some(Name(name)) = fields.next_key()? {
            named += u32::from(is_id_name(name.as_bytes()));
            if name == "conversationId" {
                conversation_id = Some(fields.next_value()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        match conversation_id {
            Some(_) if named > 1 => Err(A::Error::duplicate_field("conversationId")),
            _ => Ok(Object { conversation_id }),
        }
    }
}

fn read(line: &[u8]) -> Result<Uuid, String> {
    match line[0] {
        b'"' => read_string(line),
        b'{' => read_object(line),
        _ => Err(
            "the line is neither a JSON string nor an object; write \"id\" or {\"conversationId\": \"id\"}, \
                  one per line"
                .to_owned(),
        ),
    }
}

fn read_string(json: &[u8]) -> Result<Uuid, String> {
    // A string without a backslash says what it holds without being decoded.
    if let [b'"', plain @ .., b'"'] = json
        && let Ok(id) = parse_id(plain)
    {
        return Ok(id);
    }
    let text: Cow<'_, str> = serde_json::from_slice(json).map_err(|error| not_json(&error))?;
    parse_id(text.as_bytes())
}

fn read_object(json: &[u8]) -> Result<Uuid, String> {
    let object: Object<'_> = serde_json::from_slice(json).map_err(|error| {
        if error.is_data() {
            "the object has `conversationId` more than once, perhaps in another spelling; send each id on its own line"
                .to_owned()
        } else {
            not_json(&error)
        }
    })?;
    match object.conversation_id.map(RawValue::get) {
        Some(string) if string.starts_with('"') => read_string(string.as_bytes()),
        Some(_) => Err("`conversationId` is not a string; write the id between quotes".to_owned()),
        None => Err("the object has no field `conversationId`, spelled exactly like this".to_owned()),
    }
}

fn not_json(error: &serde_json::Error) -> String {
    format!("the line is not one JSON value (seen at column {}); write one value a line", error.column())
}
