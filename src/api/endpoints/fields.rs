//! The fields of an endpoint that callers send, checked.

use secrecy::SecretString;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::body::Signing;
use crate::api::checks::{check_text, optional_text};
use crate::api::problem::FieldError;
use crate::api::state::ApiState;
use crate::domain::endpoints::Told;
use crate::domain::keys::Caller;
use crate::webhooks::SigningSecret;

const LONGEST_DESCRIPTION: usize = 200;
const LONGEST_URL: usize = 2048;

pub(super) fn description() -> Object {
    optional_text(LONGEST_DESCRIPTION, "What it is for.").build()
}

pub(in crate::api) fn url() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(LONGEST_URL))
        .pattern(Some("^[Hh][Tt][Tt][Pp][Ss]?://"))
        .description(Some("Its URL: http or https, without user and password, at a public address."))
        .build()
}

/// The address, in its normal form.
pub(in crate::api) fn check_url(
    errors: &mut Vec<FieldError>,
    pointer: &str,
    url: &str,
    state: &ApiState,
) -> String {
    match state.hooks.rules.parse(url) {
        Ok(url) => url.into(),
        Err(error) => {
            errors.push(FieldError::new(pointer, error.to_string()));
            String::new()
        }
    }
}

pub(super) fn check_description(errors: &mut Vec<FieldError>, description: Option<&str>) {
    check_text(errors, "/description", description, LONGEST_DESCRIPTION);
}

pub(super) fn check_events(errors: &mut Vec<FieldError>, events: Option<Vec<Told>>) -> Option<Vec<Told>> {
    let mut events = events?;
    events.sort_unstable();
    events.dedup();
    if events.is_empty() {
        errors.push(FieldError::new("/events", "must name an event; leave it out for all of them"));
    }
    Some(events)
}

/// The named orgs, or all that the key reaches.
pub(super) fn check_orgs(
    errors: &mut Vec<FieldError>,
    orgs: Option<Vec<String>>,
    state: &ApiState,
    caller: &Caller,
) -> Option<Vec<String>> {
    let Some(mut orgs) = orgs else { return caller.reach.orgs().map(<[String]>::to_vec) };
    orgs.sort_unstable();
    orgs.dedup();
    if orgs.is_empty() {
        errors.push(FieldError::new("/orgs", "must name an org; leave it out for all of them"));
    }
    for org in &orgs {
        let is_known = state.orgs.iter().any(|known| known.name == *org);
        if !is_known || !caller.reach.covers(org) {
            errors.push(FieldError::new("/orgs", format!("there is no org {org:?}")));
        }
    }
    Some(orgs)
}

/// The caller's own secret, or a new one.
pub(super) fn check_secret(
    errors: &mut Vec<FieldError>,
    secret: Option<String>,
    signing: Option<Signing>,
    state: &ApiState,
) -> SecretString {
    let Some(secret) = secret else { return (state.hooks.new_secret)(signing.unwrap_or_default()).into() };
    if signing.is_some() {
        errors.push(FieldError::new("/signing", "is decided by the secret; leave one of the two out"));
    }
    if let Err(error) = SigningSecret::parse(&secret) {
        errors.push(FieldError::new("/secret", error.to_string()));
    }
    secret.into()
}
