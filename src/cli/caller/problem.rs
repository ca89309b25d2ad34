//! What went wrong, and with which exit code that ends: a problem document as a person reads it.

use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;

use crate::cli::output::said_once;

/// So much of an answer that is no problem document is shown, in characters.
const EXCERPT: usize = 200;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(in crate::cli) enum Trouble {
    /// Something on this side: a file, a key, an address.
    Ours(anyhow::Error),
    /// The service said no.
    Refused(Refusal),
    /// The service says that it can't at the moment, and perhaps when to come again.
    NotNow(Refusal, Option<Duration>),
    /// No connection: nothing was sent.
    Unreachable(String),
    /// The upload broke off before its end: an incomplete one is never accepted.
    Cut(String),
    /// Everything was sent, and no answer came.
    Lost(String),
    /// It was answered with a success that nobody here can read.
    Unreadable(anyhow::Error),
}

/// An answer that is no success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Refusal {
    pub(in crate::cli) status: u16,
    pub(in crate::cli) code: Option<String>,
    detail: String,
    errors: Vec<FieldError>,
    request_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct FieldError {
    pointer: String,
    detail: String,
}

/// The document as the service writes it; every member may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Document {
    code: Option<String>,
    detail: Option<String>,
    request_id: Option<String>,
    errors: Vec<FieldError>,
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Ours(error)
    }
}

impl Trouble {
    /// Whether the same request may do better in a moment.
    pub(in crate::cli) fn may_pass(&self) -> bool {
        matches!(self, Self::NotNow(..) | Self::Unreachable(_) | Self::Cut(_) | Self::Lost(_))
    }

    /// How long the service asks to wait.
    pub(in crate::cli) fn wait(&self) -> Option<Duration> {
        match self {
            Self::NotNow(_, wait) => *wait,
            _ => None,
        }
    }

    /// The request may have reached the service, which may have done what was asked: an error of a service or of
    /// something before it does not say at which point it came.
    pub(in crate::cli) fn may_be_done(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Unreadable(_) => true,
            Self::Refused(refusal) | Self::NotNow(refusal, _) => refusal.status >= 500,
            Self::Ours(_) | Self::Unreachable(_) | Self::Cut(_) => false,
        }
    }

    /// What a person reads.
    pub(in crate::cli) fn lines(&self) -> Vec<String> {
        match self {
            Self::Ours(error) | Self::Unreadable(error) => vec![format!("error: {}", said_once(error))],
            Self::Refused(refusal) => refusal.lines("refused"),
            Self::NotNow(refusal, _) => refusal.lines("the service can't answer now"),
            Self::Unreachable(why) => vec![format!("the service can't be reached: {why}")],
            Self::Cut(why) => vec![format!("the upload was cut, nothing was accepted: {why}")],
            Self::Lost(why) => vec![format!("no answer came: {why}")],
        }
    }

    /// How the command ends.
    pub(in crate::cli) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Ours(_) | Self::Unreadable(_) => 1,
            Self::Refused(refusal) if refusal.status < 500 => 5,
            Self::Refused(_) | Self::NotNow(..) | Self::Unreachable(_) | Self::Cut(_) | Self::Lost(_) => 6,
        })
    }
}

impl Refusal {
    /// Reads an answer; `request_id` is that of its header.
    pub(in crate::cli) fn read(status: u16, body: &[u8], request_id: Option<&str>) -> Self {
        let document: Option<Document> = serde_json::from_slice(body).ok();
        let document = document.filter(|document| document.detail.is_some());
        let Some(document) = document else {
            let said = plain(&String::from_utf8_lossy(body));
            let said: String = said.chars().take(EXCERPT).collect();
            let detail = match (status, said.as_str()) {
                (300..400, _) => "redirects are not followed; is the URL that of the service?".to_owned(),
                (_, "") => "the answer says nothing; is the URL that of the service?".to_owned(),
                _ => format!("is the URL that of the service? It answered: {said}"),
            };
            return Self { status, detail, request_id: request_id.map(plain), ..Self::default() };
        };
        let errors = document.errors.into_iter();
        Self {
            status,
            code: document.code.as_deref().map(plain),
            detail: plain(&document.detail.unwrap_or_default()),
            errors: errors
                .map(|error| FieldError { pointer: plain(&error.pointer), detail: plain(&error.detail) })
                .collect(),
            request_id: document.request_id.as_deref().or(request_id).map(plain),
        }
    }

    /// `refused (422 invalid_request): /reason: must not be empty`, each field that is wrong, and the request's id.
    fn lines(&self, verb: &str) -> Vec<String> {
        let code = self.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
        let mut lines = vec![format!("{verb} ({}{code}): {}", self.status, self.detail)];
        let fields = self.errors.iter().map(|error| match error.pointer.as_str() {
            "" => error.detail.clone(),
            pointer => format!("{pointer}: {}", error.detail),
        });
        // The first field that is wrong is often the detail too.
        lines.extend(fields.filter(|field| *field != self.detail).map(|field| format!("  {field}")));
        lines.extend(self.request_id.as_ref().map(|id| format!("  request id {id}")));
        lines
    }
}

/// One line, whatever came: it goes to a terminal.
pub(in crate::cli) fn plain(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_out_with_each_field_once_and_the_request_id() {
        let body = br#"{"type": "x", "status": 422, "code": "invalid_request", "detail": "/a: is empty",
            "requestId": "r-1", "errors": [{"pointer": "/a", "detail": "is empty"}, {"pointer": "/b/3", "detail": "is no\nUUID"}]}"#;
        let refusal = Refusal::read(422, body, Some("r-0"));
        assert_eq!(
            Trouble::Refused(refusal).lines(),
            ["refused (422 invalid_request): /a: is empty", "  /b/3: is no UUID", "  request id r-1"]
        );
    }

    #[test]
    fn what_may_have_been_done_is_told_apart_from_what_was_not() {
        let busy = |status| Trouble::NotNow(Refusal::read(status, b"", None), None);
        let table = [
            (busy(429), true, false),
            (busy(503), true, true),
            (Trouble::Unreachable(String::new()), true, false),
            (Trouble::Cut(String::new()), true, false),
            (Trouble::Lost(String::new()), true, true),
            (Trouble::Unreadable(anyhow::anyhow!("no JSON")), false, true),
            (Trouble::Refused(Refusal::read(422, b"", None)), false, false),
            (Trouble::Refused(Refusal::read(500, b"", None)), false, true),
        ];
        for (trouble, may_pass, may_be_done) in table {
            assert_eq!((trouble.may_pass(), trouble.may_be_done()), (may_pass, may_be_done), "{trouble:?}");
        }
    }

    #[test]
    fn an_answer_of_something_else_asks_for_the_url_and_can_paint_no_terminal() {
        let table = [
            (404, "<html>\u{1b}[31mno</html>", "It answered: <html> [31mno</html>"),
            (404, "", "the answer says nothing"),
            (301, "", "redirects are not followed"),
            (404, "{\"code\": \"not.found\"}", "It answered: {\"code\": \"not.found\"}"),
            (500, "{}", "It answered: {}"),
            (500, "[1]", "It answered: [1]"),
        ];
        for (status, body, expected) in table {
            let lines = Trouble::Refused(Refusal::read(status, body.as_bytes(), Some("r-2"))).lines();
            assert!(lines[0].contains(expected), "{lines:?}");
            assert!(lines[0].starts_with(&format!("refused ({status}): ")), "{lines:?}");
            assert!(!lines.iter().any(|line| line.contains(char::is_control)), "{lines:?}");
            assert_eq!(lines[1], "  request id r-2");
        }
    }
}
