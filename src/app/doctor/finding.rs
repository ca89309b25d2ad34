//! What a check found.

use std::fmt::Display;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// It works, but not as it should.
    Warn,
    /// It does not work.
    Fail,
    /// It was not checked.
    Skipped,
}

/// One check and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the check; stable.
    pub check: &'static str,
    pub org: Option<String>,
    /// How bad it is.
    pub verdict: Verdict,
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, detail: impl Display, remedy: Option<String>) -> Self {
        Self { check, org: None, verdict, detail: one_line(&detail.to_string()), remedy }
    }

    pub(super) fn ok(check: &'static str, detail: impl Display) -> Self {
        Self::new(check, Verdict::Ok, detail, None)
    }

    pub(super) fn warn(check: &'static str, detail: impl Display, remedy: impl Display) -> Self {
        Self::new(check, Verdict::Warn, detail, Some(remedy.to_string()))
    }

    pub(super) fn fail(check: &'static str, detail: impl Display, remedy: impl Display) -> Self {
        Self::new(check, Verdict::Fail, detail, Some(remedy.to_string()))
    }

    pub(super) fn skipped(check: &'static str, why: impl Display) -> Self {
        Self::new(check, Verdict::Skipped, why, None)
    }

    /// The same, of an org.
    pub(super) fn of(self, org: &str) -> Self {
        Self { org: Some(org.to_owned()), ..self }
    }
}

/// Texts from outside go to a terminal.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}
