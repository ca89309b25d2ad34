//! What an answer that is not a success means: the status decides, the body says more.
//!
//! Invariant: pure functions; whatever the body holds (nothing, HTML, another shape), they give an answer and
//! never fail. Redirects are failures too: none is ever followed.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    failure::{Detail, Failure, name, one_line},
    json::{Object, each_element, each_field, text},
};
use crate::domain::secrets::Secrets;

/// The calls to upstream, whatever its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Token,
    Facts,
    Submit,
    Poll,
}

impl Call {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Facts => "facts",
            Self::Submit => "submit",
            Self::Poll => "poll",
        }
    }

    /// The same in what people read; a metric keeps the label that it has.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Facts => "details",
            Self::Token | Self::Submit | Self::Poll => self.name(),
        }
    }
}

/// So many missing permissions are named at most.
const MOST_PERMISSIONS: usize = 50;

/// What a status means for a call that was made with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    TokenRefused,
    Forbidden,
    Conflict,
    Throttled,
    Invalid,
    Refused,
    WrongUpstream,
    Missing,
    Unknown,
}

/// The status table of upstream, row by row.
pub(super) fn meaning(call: Call, status: u16) -> Meaning {
    match (status, call) {
        (401, _) => Meaning::TokenRefused,
        (403, _) => Meaning::Forbidden,
        (404, Call::Poll) => Meaning::Missing,
        (404 | 405 | 501, Call::Facts | Call::Submit) => Meaning::WrongUpstream,
        (409, Call::Submit) => Meaning::Conflict,
        (429, _) => Meaning::Throttled,
        (400 | 413 | 422, _) => Meaning::Invalid,
        (408, _) => Meaning::Unknown,
        (400..=499 | 501, _) => Meaning::Refused,
        _ => Meaning::Unknown,
    }
}

/// What the body of a failure says, as far as it can be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorAnswer {
    pub(super) message: Option<String>,
    code: Option<String>,
    context_id: Option<String>,
    /// UUIDs in `details[].entityId`.
    named: Vec<Uuid>,
    /// The permissions that it calls missing.
    permissions: Vec<String>,
}

/// The fields of a body that are read; whatever else there is, is passed over.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    context_id: Option<&'a RawValue>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
    #[serde(borrow)]
    message_params: Option<&'a RawValue>,
    /// The login answers in the words of RFC 6749, section 5.2.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, rename = "error_description")]
    error_description: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
}

impl ErrorAnswer {
    /// Reads a body. The secrets are struck out of what it says: an upstream that echoes what it was sent must not
    /// bring that into our logs.
    pub(super) fn read(body: &[u8], secrets: &Secrets) -> Self {
        let Ok(Object(body)) = serde_json::from_slice::<Object<Body<'_>>>(body) else {
            return Self::default();
        };
        let string = |value: Option<&RawValue>| value.and_then(text).map(|text| secrets.strike(&text));
        let message = [body.message, body.error_description, body.description].into_iter().find_map(string);
        let mut named = Vec::new();
        for_each(body.details, |detail| {
            each_field(detail, |field, value| {
                named.extend((field == "entityId").then(|| text(value)?.parse::<Uuid>().ok()).flatten());
            });
        });
        Self {
            code: [body.code, body.error].into_iter().find_map(string).and_then(|code| name(&code)),
            context_id: string(body.context_id).and_then(|id| name(&id)),
            named,
            permissions: missing_permissions(body.message_params, message.as_deref(), secrets),
            message,
        }
    }

    /// The detail of a failure with this body.
    pub(super) fn detail(&self, call: Call, status: u16, correlation_id: Option<String>) -> Detail {
        let message = self.message.as_deref().unwrap_or("the answer has no readable message");
        Detail {
            status: Some(status),
            code: self.code.clone(),
            context_id: self.context_id.clone(),
            correlation_id,
            ..Detail::new(call.word(), message)
        }
    }

    /// Those of the batch that the answer names, in its order, each once.
    fn named_of(&self, batch: &[Uuid]) -> Vec<Uuid> {
        let mut named: Vec<Uuid> = Vec::new();
        for id in &self.named {
            if batch.contains(id) && !named.contains(id) {
                named.push(*id);
            }
        }
        named
    }

    /// The failure that a status with this body means. `wait` is what it asks to wait if it throttles, `batch` what
    /// was submitted.
    pub(super) fn failure(
        &self,
        meaning: Meaning,
        detail: Box<Detail>,
        wait: Option<Duration>,
        batch: &[Uuid],
        access: &Access<'_>,
    ) -> Failure {
        match meaning {
            Meaning::TokenRefused => Failure::TokenRefused(detail),
            Meaning::Forbidden => Failure::Forbidden { detail, missing: access.missing(&self.permissions) },
            Meaning::Conflict => Failure::Conflict { detail, named: self.named_of(batch) },
            Meaning::Throttled => Failure::Throttled { detail, wait },
            Meaning::Invalid => Failure::Invalid(detail),
            Meaning::Refused => Failure::Refused(detail),
            Meaning::WrongUpstream => Failure::WrongUpstream(detail),
            Meaning::Missing => Failure::Missing(detail),
            Meaning::Unknown => Failure::Unknown(detail),
        }
    }
}

/// What a token may do, beside what it should.
#[derive(Debug)]
pub(super) struct Access<'a> {
    /// The scopes that the token is known to have.
    pub(super) scopes: &'a [String],
    /// The scope that the driver's calls need.
    pub(super) needed_scope: &'a str,
}

impl Access<'_> {
    /// One sentence for the operator.
    fn missing(&self, permissions: &[String]) -> String {
        let permissions = match permissions {
            [] => "Genesys names no missing permission".to_owned(),
            some => format!("missing permissions: {}", some.join(", ")),
        };
        let scopes = match self.scopes {
            [] => "the token does not list its scopes".to_owned(),
            some => format!("the token has the scopes {}", some.join(", ")),
        };
        one_line(&format!("{permissions}; {scopes}; the scope needed is {}", self.needed_scope), 500)
    }
}

fn for_each<'a>(list: Option<&'a RawValue>, show: impl FnMut(&'a RawValue)) {
    if let Some(list) = list {
        each_element(list, show);
    }
}

/// The permissions that `missing.permissions`, `missing.any.permissions` and `missing.division.permission` name: in
/// their parameters (a string or a list), else in the text.
fn missing_permissions(params: Option<&RawValue>, message: Option<&str>, secrets: &Secrets) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |param: &RawValue| {
        if let Some(text) = text(param) {
            permissions_in(&secrets.strike(&text), &mut found);
        }
    };
    if let Some(params) = params {
        each_field(params, |_, param| {
            look(param);
            each_element(param, &mut look);
        });
    }
    if found.is_empty() {
        permissions_in(message.unwrap_or_default(), &mut found);
    }
    found
}

/// Words of the form `domain:entity:action`.
fn permissions_in(text: &str, found: &mut Vec<String>) {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ':' | '*' | '_' | '-')));
    for word in words {
        let parts: Vec<&str> = word.split(':').collect();
        let has_room = found.len() < MOST_PERMISSIONS;
        if has_room
            && parts.len() == 3
            && parts.iter().all(|part| !part.is_empty())
            && !found.iter().any(|p| p == word)
        {
            found.push(word.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_meaning_on_every_call() {
        use Meaning::{
            Conflict, Forbidden, Invalid, Missing, Refused, Throttled, TokenRefused, Unknown, WrongUpstream,
        };
        let cases: &[(u16, [Meaning; 3])] = &[
            (206, [Unknown; 3]),
            (301, [Unknown; 3]),
            (307, [Unknown; 3]),
            (400, [Invalid; 3]),
            (401, [TokenRefused; 3]),
            (402, [Refused; 3]),
            (403, [Forbidden; 3]),
            (404, [WrongUpstream, WrongUpstream, Missing]),
            (405, [WrongUpstream, WrongUpstream, Refused]),
            (408, [Unknown; 3]),
            (409, [Refused, Conflict, Refused]),
            (410, [Refused; 3]),
            (413, [Invalid; 3]),
            (415, [Refused; 3]),
            (422, [Invalid; 3]),
            (429, [Throttled; 3]),
            (499, [Refused; 3]),
            (500, [Unknown; 3]),
            (501, [WrongUpstream, WrongUpstream, Refused]),
            (502, [Unknown; 3]),
            (503, [Unknown; 3]),
            (504, [Unknown; 3]),
            (599, [Unknown; 3]),
            (999, [Unknown; 3]),
        ];
        for (status, expected) in cases {
            let found = [Call::Facts, Call::Submit, Call::Poll].map(|call| meaning(call, *status));
            assert_eq!(found, *expected, "{status}");
        }
    }

    #[test]
    fn the_permissions_that_are_missing_are_named() {
        let cases = [
            (
                serde_json::json!({"code": "missing.permissions", "messageParams": {"permissions": "a:b:c, d:e:*"}}),
                "a:b:c, d:e:*",
            ),
            (
                serde_json::json!({"code": "missing.any.permissions", "messageParams": {"permissions": ["a:b:c", 7, "a:b:c"]}}),
                "a:b:c",
            ),
            (
                serde_json::json!({"code": "missing.division.permission", "message": "You are missing [analytics:conversationDetail:view] in 3:4"}),
                "analytics:conversationDetail:view",
            ),
            (serde_json::json!({"code": "not.authorized", "message": "No.", "messageParams": ["a:b:c"]}), ""),
        ];
        for (body, expected) in cases {
            let read = ErrorAnswer::read(body.to_string().as_bytes(), &Secrets::default());
            assert_eq!(read.permissions.join(", "), expected, "{body}");
        }
    }

    #[test]
    fn a_body_of_any_other_shape_reads_as_nothing() {
        let secrets = Secrets::default();
        for body in
            ["", "<html>no</html>", "[]", "null", "\"text\"", "{\"message\": 7, \"details\": {}}", "{\"mess"]
        {
            assert_eq!(ErrorAnswer::read(body.as_bytes(), &secrets), ErrorAnswer::default(), "{body}");
        }
        assert_eq!(ErrorAnswer::read(&[0xff, 0xfe], &secrets), ErrorAnswer::default());
    }

    #[test]
    fn a_secret_that_upstream_echoes_is_struck_out() {
        let body = br#"{"message": "bad s3cret", "code": "s3cret", "contextId": "s3cret"}"#;
        let read = ErrorAnswer::read(body, &Secrets::of_client("me", "s3cret"));
        assert!(!format!("{read:?}").contains("s3cret"), "{read:?}");
        assert_eq!(read.message.as_deref(), Some("bad [REDACTED]"));
    }
}
