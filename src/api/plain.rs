//! Rewrites the errors of the JSON and query-string parsers for the person who has to fix the request.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::FieldError;

/// Maximum wrong fields reported at once.
const MOST: usize = 20;

/// The error, and its place below the one that the parser names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain {
    /// The name of a field that is missing there.
    pub(super) missing: Option<String>,
    pub(super) detail: String,
}

/// The same in plain words.
pub(super) fn plain(told: &str) -> Plain {
    // Line and column add nothing to the pointer.
    let told = told.rsplit_once(" at line ").map_or(told, |(told, _)| told);
    let detail = |detail: String| Plain { missing: None, detail };
    if let Some(name) = told.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return Plain { missing: Some(name.to_owned()), detail: "is missing".to_owned() };
    }
    let known = words(told.split_once("expected ").map_or("", |(_, expected)| expected));
    if told.starts_with("unknown field") {
        return detail(match known.as_str() {
            "" => "is not known; this call takes no fields".to_owned(),
            known => format!("is not known; known are {known}"),
        });
    }
    if told.starts_with("unknown variant") {
        let one_of = if known.contains(", ") { "one of " } else { "" };
        return detail(format!("must be {one_of}{known}"));
    }
    let is_number =
        ["invalid digit found in string", "cannot parse integer", "number too large", "number too small"];
    if is_number.iter().any(|start| told.starts_with(start)) {
        return detail("must be a whole number".to_owned());
    }
    if told.starts_with("provided string was not `true` or `false`") {
        return detail("must be true or false".to_owned());
    }
    if told.starts_with("invalid type") || told.starts_with("invalid value") {
        let (what, expected) = told.rsplit_once(", expected ").unwrap_or((told, ""));
        let found = what.split_once(": ").map_or(what, |(_, found)| found);
        return detail(format!("must be {}, not {}", kind(expected), kind(found)));
    }
    detail(told.to_owned())
}

/// The words between backticks, with commas between them.
fn words(expected: &str) -> String {
    expected.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(", ")
}

/// Translates Rust's names of types to JSON's.
fn kind(told: &str) -> String {
    let is = |start: &str| told.starts_with(start);
    let kind = match told {
        _ if is("a boolean") => "true or false",
        _ if is("struct ") || told == "a map" || is("map") => "an object",
        _ if is("a sequence") || is("sequence") => "a list",
        _ if is("a string") || is("a borrowed string") => "a text",
        _ if ["u8", "u16", "u32", "u64", "usize", "i32", "i64"].contains(&told) => "a whole number",
        _ if is("boolean") || is("integer") || is("floating point") || is("string") => {
            told.split_once(' ').map_or(told, |(kind, value)| match kind {
                "floating" => value.trim_start_matches("point "),
                _ => value,
            })
        }
        other => other,
    };
    kind.replace('`', "")
}

/// Every wrong field, as far as they can be found independently.
pub(super) fn wrong_fields<T: DeserializeOwned>(mut body: Value) -> Vec<FieldError> {
    let (mut errors, mut taken) = (Vec::new(), Vec::new());
    while errors.len() < MOST {
        let Err(error) = serde_path_to_error::deserialize::<_, T>(&body) else { break };
        let path = pointer(error.path());
        let Plain { missing, detail } = plain(&error.into_inner().to_string());
        // One that was taken out because it is wrong is missing now.
        if path.is_empty() && missing.as_ref().is_some_and(|name| taken.contains(name)) {
            break;
        }
        let is_missing = missing.is_some();
        let place = missing.map_or_else(|| path.clone(), |name| format!("{path}/{}", escaped(&name)));
        errors.push(FieldError::new(place, detail));
        // Without the member that is wrong the others can be read.
        let member = path.split('/').nth(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
        let Some(member) = member.filter(|_| !(is_missing && path.is_empty())) else { break };
        if body.as_object_mut().and_then(|body| body.remove(&member)).is_none() {
            break;
        }
        taken.push(member);
    }
    errors
}

pub(super) fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let segment = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escaped(key)),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    };
    path.iter().map(segment).collect()
}

/// A name as a step of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_reader_says_is_told_in_plain_words() {
        let table = [
            ("unknown field `reason`, there are no fields", "is not known; this call takes no fields"),
            ("unknown field `a`, expected `b`", "is not known; known are b"),
            ("unknown field `a`, expected `b` or `c`", "is not known; known are b, c"),
            (
                "unknown field `a`, expected one of `b`, `c`, `d` at line 1 column 7",
                "is not known; known are b, c, d",
            ),
            (
                "unknown variant `done`, expected one of `queued`, `running`, `paused`",
                "must be one of queued, running, paused",
            ),
            ("unknown variant `x`, expected `dead`", "must be dead"),
            ("invalid digit found in string", "must be a whole number"),
            ("provided string was not `true` or `false`", "must be true or false"),
            ("invalid type: string \"yes\", expected a boolean", "must be true or false, not \"yes\""),
            ("invalid type: integer `7`, expected a string", "must be a text, not 7"),
            ("invalid type: map, expected a sequence", "must be a list, not an object"),
            ("invalid value: integer `-1`, expected u64", "must be a whole number, not -1"),
            ("a name is given twice", "a name is given twice"),
        ];
        for (told, expected) in table {
            assert_eq!(plain(told), Plain { missing: None, detail: expected.to_owned() }, "{told}");
        }
        let missing = Plain { missing: Some("url".to_owned()), detail: "is missing".to_owned() };
        assert_eq!(plain("missing field `url` at line 1 column 2"), missing);
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its reading is tested")]
    struct Body {
        name: String,
        number: u32,
        flag: Option<bool>,
    }

    #[test]
    fn every_wrong_field_is_told_at_once() {
        let told = |body: Value| {
            wrong_fields::<Body>(body)
                .into_iter()
                .map(|error| (error.pointer, error.detail))
                .collect::<Vec<_>>()
        };
        let pointers = |body: Value| told(body).into_iter().map(|(pointer, _)| pointer).collect::<Vec<_>>();
        assert_eq!(pointers(json!({ "name": "a", "number": 1 })), Vec::<String>::new());
        let mut all = pointers(json!({ "name": 7, "number": "x", "flag": 1, "a/b": 2 }));
        all.sort_unstable();
        assert_eq!(all, ["/a~1b", "/flag", "/name", "/number"]);
        assert_eq!(told(json!({ "number": 1 })), [("/name".to_owned(), "is missing".to_owned())]);
    }

    #[test]
    fn what_is_wrong_inside_is_not_missing_as_well() {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct List {
            #[serde(rename = "ids")]
            _ids: Vec<String>,
        }
        let errors = wrong_fields::<List>(json!({ "ids": ["a", 3], "more": 1 }));
        let mut pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/ids/1", "/more"]);
    }
}
