//! Faults on order: which of the calls to come is to go wrong, and how.
//!
//! Invariant: a rule decides by counting calls and by the sandbox's own chance, never by what a call contains.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rand::{RngExt, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::calls::Call;

/// An order to let calls go wrong. Of several rules that fit one call the oldest strikes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    pub call: Call,
    /// Strike so many times, then never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Strike every Nth call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
    /// Strike with this chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Let the first so many calls pass.
    #[serde(default)]
    pub after: u32,
    /// Whether the work of the call is done before it goes wrong. By default it is for garbage, which spoils a real
    /// answer, and for `{"reset": "after"}`; it is not for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    pub fault: Fault,
}

/// On which side of the work a fault lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// The work is not done (a delay alone: done late).
    Before,
    /// The work is done; only the answer suffers.
    After,
}

/// What goes wrong. At most one of `status`/`retryAfter`, `reset`, `garbage` and `hang`; `delayMs` goes with each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fault {
    /// Answer with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers of that answer; a list is sent as several headers of one name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, OneOrMore>,
    /// The body of that answer; without it, an error body of the usual shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// `Retry-After`, sent as it stands; without a status it means 429.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<OneOrMore>,
    /// Reset the connection instead of answering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage: Option<Garbage>,
    /// Never answer, and keep the connection open.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hang: bool,
    /// Wait for so many milliseconds first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u32>,
}

/// One header value, or several of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// How an answer is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Garbage {
    /// 200 with an HTML page, as proxies send it.
    Html,
    /// The first half of the real answer, as if it were all.
    CutJson,
    /// The first half of the real answer, then the connection is reset.
    CutBody,
    /// 200 with an empty body.
    Empty,
    /// 200 with JSON of another shape.
    WrongShape,
    /// The real answer without the last half of its records, which says that something went wrong.
    Incomplete,
}

/// Why a rule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault: {0}")]
pub struct FaultError(String);

/// A rule in force.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Its number, for taking it away.
    pub id: u64,
    /// As it was ordered.
    #[serde(flatten)]
    pub rule: FaultRule,
    /// How many calls it has looked at.
    pub seen: u32,
    /// How many of them it struck.
    pub struck: u32,
    #[serde(skip)]
    strike: Strike,
}

/// What is to be done to one call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strike {
    pub(super) when: When,
    pub(super) delay: Duration,
    pub(super) effect: Effect,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    /// The call is only delayed.
    None,
    Answer {
        status: StatusCode,
        headers: HeaderMap,
        body: Option<String>,
    },
    Garbage(Garbage),
    Reset,
    Hang,
}

/// The rules in force, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults {
    standing: Vec<Standing>,
    last_id: u64,
}

impl Faults {
    pub(super) fn add(&mut self, rule: FaultRule) -> Result<u64, FaultError> {
        let strike = checked(&rule)?;
        self.last_id += 1;
        self.standing.push(Standing { id: self.last_id, rule, seen: 0, struck: 0, strike });
        Ok(self.last_id)
    }

    pub(super) fn list(&self) -> &[Standing] {
        &self.standing
    }

    pub(super) fn clear(&mut self) {
        self.standing.clear();
    }

    /// Takes one rule away; says whether there was one.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.standing.len();
        self.standing.retain(|standing| standing.id != id);
        self.standing.len() < before
    }

    /// Shows a call to all rules of its kind; the first that fits strikes.
    pub(super) fn strike(&mut self, call: Call, chance: &mut StdRng) -> Option<Strike> {
        let mut found = None;
        for standing in self.standing.iter_mut().filter(|standing| standing.rule.call == call) {
            standing.seen += 1;
            if found.is_none() && fits(standing, chance) {
                standing.struck += 1;
                found = Some(standing.strike.clone());
            }
        }
        found
    }
}

fn fits(standing: &Standing, chance: &mut StdRng) -> bool {
    let rule = &standing.rule;
    let turn = standing.seen.saturating_sub(rule.after);
    turn > 0
        && rule.times.is_none_or(|times| standing.struck < times)
        && rule.every.is_none_or(|every| turn.is_multiple_of(every))
        && rule.share.is_none_or(|share| chance.random_bool(share))
}

fn checked(rule: &FaultRule) -> Result<Strike, FaultError> {
    let refuse = |why: &str| Err(FaultError(why.to_owned()));
    if rule.share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return refuse("share must be between 0 and 1");
    }
    if rule.every == Some(0) {
        return refuse("every must be above 0");
    }
    let fault = &rule.fault;
    let answers = fault.status.is_some() || fault.retry_after.is_some();
    let effects = [answers, fault.reset.is_some(), fault.garbage.is_some(), fault.hang]
        .into_iter()
        .filter(|is| *is)
        .count();
    if effects > 1 {
        return refuse("only one of status (or retryAfter), reset, garbage and hang");
    }
    if !answers && (!fault.headers.is_empty() || fault.body.is_some()) {
        return refuse("headers and body need a status");
    }
    if fault.reset.is_some() && rule.when.is_some() {
        return refuse("a reset says itself when: before or after");
    }
    let effect = match (answers, fault.reset, fault.garbage, fault.hang) {
        (true, ..) => made_up_answer(fault)?,
        (_, Some(_), ..) => Effect::Reset,
        (_, _, Some(garbage), _) => Effect::Garbage(garbage),
        (.., true) => Effect::Hang,
        _ if fault.delay_ms.is_some() => Effect::None,
        _ => return refuse("says nothing: status, retryAfter, reset, garbage, hang or delayMs"),
    };
    if fault.garbage.is_some() && rule.when == Some(When::Before) {
        return refuse("garbage spoils a real answer: it can't come before the work");
    }
    let default = if fault.garbage.is_some() { When::After } else { When::Before };
    Ok(Strike {
        when: fault.reset.or(rule.when).unwrap_or(default),
        delay: Duration::from_millis(u64::from(fault.delay_ms.unwrap_or(0))),
        effect,
    })
}

fn made_up_answer(fault: &Fault) -> Result<Effect, FaultError> {
    let status = fault.status.unwrap_or(429);
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|_| (200..=599).contains(&status))
        .ok_or_else(|| FaultError(format!("{status} is not the status of an answer (200 to 599)")))?;
    let mut headers = HeaderMap::new();
    let retry_after = fault.retry_after.iter().map(|values| ("retry-after", values));
    for (name, values) in
        fault.headers.iter().map(|(name, values)| (name.as_str(), values)).chain(retry_after)
    {
        let values = match values {
            OneOrMore::One(value) => std::slice::from_ref(value),
            OneOrMore::More(values) => values,
        };
        let name: HeaderName =
            name.parse().map_err(|_| FaultError(format!("{name:?} is not a header name")))?;
        if matches!(name.as_str(), "content-length" | "transfer-encoding" | "connection") {
            return Err(FaultError(format!("{name} belongs to the connection; see reset and garbage")));
        }
        for value in values {
            let value = HeaderValue::from_str(value)
                .map_err(|_| FaultError(format!("{value:?} can't be the value of a header")))?;
            headers.append(name.clone(), value);
        }
    }
    Ok(Effect::Answer { status, headers, body: fault.body.clone() })
}

#[cfg(test)]
mod tests;
