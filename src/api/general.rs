//! Adds to every call of the OpenAPI document what all have in common: its scope, the general refusals and their
//! schema, the headers of every answer, and 304 if a resource has an `ETag`. The call itself only lists status and
//! codes of its own refusals.

use utoipa::openapi::header::Header;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, ObjectBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

use super::etag::TAGGED;
use super::openapi::KEY;
use crate::domain::keys::Scope;

/// Status and codes of refusals that any call may get.
const ANY: &[(&str, &str)] = &[
    ("406", "`not_acceptable`: the `Accept` header allows none of the media types of this call"),
    ("500", "`internal`: an error in the service; find it in the logs by the request id"),
    ("503", "`unavailable`, `timed_out`: try again in a moment"),
];
/// General refusals, merged with the call's own ones of the same status.
const HEAD: (&str, &str) =
    ("400", "`no_host`, `repeated_header`: send `Host` once, and `Authorization` once if a key is needed");
/// The same of calls that need a key.
const GUARDED: &[(&str, &str)] = &[
    ("400", "`invalid_query`: a parameter is unknown or has an invalid value"),
    ("401", "`no_key`: send a valid key"),
];
/// A body that does not come.
const SLOW_BODY: (&str, &str) =
    ("408", "`request_timeout`: the body stopped coming, or came too slowly (`intake.min_rate`)");
/// The same of calls that take a body.
const WITH_BODY: &[(&str, &str)] = &[SLOW_BODY];
/// The same of calls that change something without a body, which would be a wish that they ignore.
const WITHOUT_BODY: &[(&str, &str)] = &[
    ("400", "`invalid_query`, `invalid_json`, `broken_body`"),
    SLOW_BODY,
    ("413", "`body_too_large`"),
    ("415", "`unsupported_media_type`, `unsupported_encoding`"),
    ("422", "`invalid_request`: this call takes no body"),
];

/// Tells it of every call of this part of the document, for which keys need that scope; anybody may make them without.
pub(super) fn tell(part: &mut OpenApi, scope: Option<Scope>) {
    for (path, item) in &mut part.paths.paths {
        let is_tagged = TAGGED.contains(&path.as_str());
        if let Some(get) = item.get.as_mut().filter(|_| is_tagged) {
            tell_tag(get);
        }
        let changing = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        let operations =
            changing.into_iter().map(|operation| (operation, true)).chain([(&mut item.get, false)]);
        for (operation, changes) in operations {
            if let Some(operation) = operation {
                tell_of(operation, scope, changes);
            }
        }
    }
}

fn tell_of(operation: &mut Operation, scope: Option<Scope>, changes: bool) {
    let needed = scope.map(|scope| SecurityRequirement::new(KEY, [scope.as_str()]));
    operation.security = Some(vec![needed.unwrap_or_default()]);
    let guarded = if scope.is_some() { GUARDED } else { &[] };
    let about_the_body = match &operation.request_body {
        Some(_) => WITH_BODY,
        None if changes => WITHOUT_BODY,
        None => &[],
    };
    let responses = &mut operation.responses.responses;
    let mut refused = |status: &str, codes: &str| {
        let told = || RefOr::T(ResponseBuilder::new().description(codes).build());
        responses.entry(status.to_owned()).or_insert_with(told);
    };
    for (status, codes) in ANY.iter().chain(about_the_body).chain(guarded) {
        refused(status, codes);
    }
    if let Some(scope) = scope {
        refused("403", &format!("`missing_scope`: the key lacks `{scope}`"));
    }
    if let Some(RefOr::T(own)) = responses.get_mut(HEAD.0) {
        own.description = format!("{}; {}", own.description, HEAD.1);
    } else {
        let told = ResponseBuilder::new().description(HEAD.1).build();
        responses.insert(HEAD.0.to_owned(), RefOr::T(told));
    }
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with(['4', '5']) && response.content.is_empty() {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            response.content.insert("application/problem+json".to_owned(), RefOr::T(content));
        }
        let id = text("The caller's `X-Request-Id`, or a new one; logs and problems have it too.");
        response.headers.insert("X-Request-Id".to_owned(), RefOr::T(id));
    }
}

fn tell_tag(get: &mut Operation) {
    let tag = || RefOr::T(text("The version of the resource; send it as `If-None-Match` next time."));
    let unchanged = ResponseBuilder::new().description("Unchanged since the version in `If-None-Match`.");
    let mut unchanged = unchanged.build();
    unchanged.headers.insert("ETag".to_owned(), tag());
    get.responses.responses.insert("304".to_owned(), RefOr::T(unchanged));
    if let Some(RefOr::T(found)) = get.responses.responses.get_mut("200") {
        found.headers.insert("ETag".to_owned(), tag());
    }
}

fn text(description: &str) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String).build());
    header.description = Some(description.to_owned());
    header
}
