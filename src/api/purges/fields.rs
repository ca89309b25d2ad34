//! The fields of a purge beside its ids, from a JSON body or a query string, checked.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};

use crate::api::checks::{check_text, optional_text, text};
use crate::api::endpoints::body::Signing;
use crate::api::endpoints::fields::check_url;
use crate::api::key_id::KeyId;
use crate::api::problem::{FieldError, Problem};
use crate::api::state::ApiState;
use crate::domain::keys::Caller;
use crate::store::endpoints::create::OfPurge;
use crate::store::purges::accept::NewPurge;

/// The fields, as they were sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) org: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) is_dry_run: bool,
    pub(super) is_permanent: Option<bool>,
    pub(super) expected_count: Option<u64>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) webhook_url: Option<String>,
}

const LONGEST_REASON: usize = 1000;
const LONGEST_REFERENCE: usize = 200;
const LONGEST_LABEL: usize = 100;
const MOST_LABELS: usize = 20;

pub(super) fn reason() -> Object {
    optional_text(LONGEST_REASON, "Why, for the record.").build()
}

pub(super) fn reference() -> Object {
    optional_text(LONGEST_REFERENCE, "The caller's own name for it.").build()
}

pub(super) fn labels() -> Object {
    let key = text(LONGEST_LABEL, "Without a colon.")
        .min_length(Some(1))
        .pattern(Some(r"^[^:\u0000-\u0008\u000b-\u001f\u007f-\u009f]+$"));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(key.build()))
        .additional_properties(Some(Schema::Object(
            text(LONGEST_LABEL, "").description(None::<&str>).build(),
        )))
        .max_properties(Some(MOST_LABELS))
        .description(Some("The caller's labels; purges are found by them."))
        .build()
}

pub(super) fn only_true() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Boolean, Type::Null]))
        .description(Some("True or left out: this service deletes permanently and does nothing else."))
        .build()
}

impl Fields {
    /// Reads the query string of an upload.
    pub(super) fn from_query(query: &str) -> Result<Self, Problem> {
        check_decodable(query)?;
        let mut fields = Self::default();
        let mut seen = std::collections::BTreeSet::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name != "label" && !seen.insert(name.clone().into_owned()) {
                return Err(Problem::invalid_query(&name, "is given twice"));
            }
            match name.as_ref() {
                "org" => fields.org = Some(value.into_owned()),
                "reason" => fields.reason = Some(value.into_owned()),
                "reference" => fields.reference = Some(value.into_owned()),
                "webhookUrl" => fields.webhook_url = Some(value.into_owned()),
                "dryRun" => fields.is_dry_run = yes_no(&name, &value)?,
                "permanentDelete" => fields.is_permanent = Some(yes_no(&name, &value)?),
                "expectedCount" => {
                    let number = value.parse();
                    let wrong = |_| Problem::invalid_query(&name, "must be a whole number");
                    fields.expected_count = Some(number.map_err(wrong)?);
                }
                "label" => {
                    let wrong = || Problem::invalid_query("label", "must look like key:value");
                    let (key, value) = value.split_once(':').ok_or_else(wrong)?;
                    if fields.labels.insert(key.to_owned(), value.to_owned()).is_some() {
                        return Err(Problem::invalid_query("label", format!("{key:?} is given twice")));
                    }
                }
                _ => {
                    let known =
                        "org, reason, reference, label, dryRun, permanentDelete, expectedCount, webhookUrl";
                    return Err(Problem::invalid_query(&name, format!("is not known; known are {known}")));
                }
            }
        }
        Ok(fields)
    }

    /// Checks everything but the ids.
    pub(super) fn check(
        self,
        state: &ApiState,
        caller: &Caller,
        KeyId(key_id): KeyId,
        request_id: String,
    ) -> Result<(NewPurge, Option<u64>), Problem> {
        // All errors are reported at once, so that one correction is enough.
        let mut errors = Vec::new();
        if self.is_permanent == Some(false) {
            let detail = "must be true or left out: this service deletes permanently and does nothing else";
            errors.push(FieldError::new("/permanentDelete", detail));
        }
        check_text(&mut errors, "/reason", self.reason.as_deref(), LONGEST_REASON);
        check_text(&mut errors, "/reference", self.reference.as_deref(), LONGEST_REFERENCE);
        if self.labels.len() > MOST_LABELS {
            errors.push(FieldError::new("/labels", format!("may have at most {MOST_LABELS} labels")));
        }
        for (key, value) in &self.labels {
            // A list is asked for `key:value`: the first colon must be the one between.
            if key.is_empty() || key.contains(':') {
                errors.push(FieldError::new(
                    "/labels",
                    format!("the key {key:?} is empty or contains a colon"),
                ));
            }
            check_text(&mut errors, "/labels", Some(key), LONGEST_LABEL);
            check_text(&mut errors, "/labels", Some(value), LONGEST_LABEL);
        }
        let webhook = self.webhook_url.map(|url| OfPurge {
            id: (state.new_id)(),
            url: check_url(&mut errors, "/webhookUrl", &url, state),
            secret: (state.hooks.new_secret)(Signing::Hmac).into(),
        });
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let new = NewPurge {
            org: choose_org(state, caller, self.org)?,
            reason: self.reason,
            reference: self.reference,
            labels: self
                .labels
                .into_iter()
                .map(|(key, value)| (key, value.into()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            is_dry_run: self.is_dry_run,
            webhook,
            key_id,
            requested_by: caller.name.clone(),
            request_id,
            traceparent: None,
        };
        Ok((new, self.expected_count))
    }
}

/// The org that was named, or the only one that the key reaches.
fn choose_org(state: &ApiState, caller: &Caller, named: Option<String>) -> Result<String, Problem> {
    let mut reached = state.orgs.iter().map(|org| &org.name).filter(|org| caller.reach.covers(org));
    match named {
        Some(named) if reached.any(|org| *org == named) => Ok(named),
        Some(named) => Err(Problem::invalid_field("/org", format!("there is no org {named:?}"))),
        None => match (reached.next(), reached.next()) {
            (Some(only), None) => Ok(only.clone()),
            (Some(_), Some(_)) => {
                Err(Problem::invalid_field("/org", "must be given: this key reaches several orgs"))
            }
            (None, _) => {
                let detail = "this key reaches none of the configured orgs";
                Err(Problem::new(StatusCode::FORBIDDEN, "no_org", detail))
            }
        },
    }
}

/// Invalid UTF-8 would be decoded to U+FFFD: a text would be stored that nobody sent, and two different requests would
/// look the same.
fn check_decodable(query: &str) -> Result<(), Problem> {
    for parameter in query.split('&') {
        if std::str::from_utf8(&decoded(parameter)).is_err() {
            let name = form_urlencoded::parse(parameter.as_bytes()).next();
            let name = name.map(|(name, _)| name).unwrap_or_default();
            return Err(Problem::invalid_query(&name, "is not UTF-8 when its percent signs are decoded"));
        }
    }
    Ok(())
}

/// The bytes behind the percent signs; one without two digits is itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.as_bytes().split_at_checked(2).map(|(digits, rest)| (hex::decode(digits), rest)) {
            Some((Ok(byte), rest)) => bytes.extend(byte.iter().chain(rest)),
            _ => bytes.extend(b"%".iter().chain(part.as_bytes())),
        }
    }
    bytes
}

fn yes_no(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::invalid_query(name, "must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_string_says_the_same_as_a_body_and_what_is_unclear_is_refused() {
        let fields = Fields::from_query(
            "org=eu&reason=GDPR%20erasure&label=team:a:b&label=x:&dryRun=true&expectedCount=7",
        );
        let expected = Fields {
            org: Some("eu".to_owned()),
            reason: Some("GDPR erasure".to_owned()),
            is_dry_run: true,
            expected_count: Some(7),
            labels: [("team", "a:b"), ("x", "")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..Fields::default()
        };
        assert_eq!(fields, Ok(expected));
        for (sent, reason) in [
            ("%C3%a4%e2%82%AC", "ä€"),
            ("%EF%BF%BD", "\u{fffd}"),
            ("100%", "100%"),
            ("%%41%zz+%2", "%A%zz %2"),
        ] {
            let fields = Fields::from_query(&format!("reason={sent}")).unwrap();
            assert_eq!(fields.reason.as_deref(), Some(reason), "{sent}");
        }
        for (query, name) in [
            ("dryrun=true", "?dryrun"),
            ("dryRun=yes", "?dryRun"),
            ("dryRun=true&dryRun=false", "?dryRun"),
            ("expectedCount=-1", "?expectedCount"),
            ("expectedCount=1.5", "?expectedCount"),
            ("label=nocolon", "?label"),
            ("label=a:1&label=a:2", "?label"),
            ("conversationIds=1", "?conversationIds"),
            (";;;", "?;;;"),
            ("dryRun=true&reference=%E9", "?reference"),
            ("reason=a%+%C3+%A4", "?reason"),
            ("label=a:%f0%9f%98&org=eu", "?label"),
            ("reason=%EF%BF%BD&reference=%EF%BF", "?reference"),
            ("%FF=1", "?\u{fffd}"),
        ] {
            assert_eq!(Fields::from_query(query).unwrap_err().errors[0].pointer, name, "{query}");
        }
    }
}
