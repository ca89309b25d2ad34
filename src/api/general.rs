//! What holds for every call, told in the document once for each: the refusals that any call may meet, the headers of
//! every answer, and 304 where a resource has a tag.

use utoipa::openapi::header::Header;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ContentBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};

use super::etag::TAGGED;

/// Status and codes of what any call may meet.
const ANY: &[(&str, &str)] = &[
    ("406", "`not_acceptable`: the `Accept` header takes nothing that this call answers"),
    ("500", "`internal`: an error of the service; the request id finds it in the logs"),
    ("503", "`unavailable`, `timed_out`: try again in a moment"),
];
/// The same of calls that need a key.
const GUARDED: &[(&str, &str)] = &[
    ("400", "`invalid_query`: a parameter is not known or does not say what it may"),
    ("401", "`no_key`: send a key in force"),
    ("403", "`missing_scope`: the key does not allow it"),
];
/// The same of calls that take a body.
const WITH_BODY: &[(&str, &str)] = &[("408", "`request_timeout`: no byte of the body came for too long")];
/// The same of calls that change something without a body, which would be a wish that they ignore.
const WITHOUT_BODY: &[(&str, &str)] = &[
    ("400", "`invalid_query`, `invalid_json`, `broken_body`"),
    ("408", "`request_timeout`: no byte of the body came for too long"),
    ("413", "`body_too_large`"),
    ("415", "`unsupported_media_type`, `unsupported_encoding`"),
    ("422", "`invalid_request`: this call takes no body"),
];

/// Tells it of every call of the document.
pub(super) fn tell(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let is_tagged = TAGGED.contains(&path.as_str());
        if let Some(get) = item.get.as_mut().filter(|_| is_tagged) {
            tell_tag(get);
        }
        let changing = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        let operations =
            changing.into_iter().map(|operation| (operation, true)).chain([(&mut item.get, false)]);
        for (operation, changes) in operations {
            let Some(operation) = operation else { continue };
            // Calls that anybody may make say so themselves.
            let guarded = if operation.security.is_none() { GUARDED } else { &[] };
            let about_the_body = match &operation.request_body {
                Some(_) => WITH_BODY,
                None if changes => WITHOUT_BODY,
                None => &[],
            };
            for (status, description) in ANY.iter().chain(about_the_body).chain(guarded) {
                let responses = &mut operation.responses.responses;
                responses.entry((*status).to_owned()).or_insert_with(|| RefOr::T(problem(description)));
            }
            for response in operation.responses.responses.values_mut() {
                let RefOr::T(response) = response else { continue };
                let id = text("The caller's `X-Request-Id`, else a new one: logs and problems tell it, too.");
                response.headers.insert("X-Request-Id".to_owned(), RefOr::T(id));
            }
        }
    }
}

fn tell_tag(get: &mut Operation) {
    let tag =
        || RefOr::T(text("Stands for this state of the resource; send it as `If-None-Match` next time."));
    let unchanged =
        ResponseBuilder::new().description("Unchanged since the state that `If-None-Match` names.");
    let mut unchanged = unchanged.build();
    unchanged.headers.insert("ETag".to_owned(), tag());
    get.responses.responses.insert("304".to_owned(), RefOr::T(unchanged));
    if let Some(RefOr::T(found)) = get.responses.responses.get_mut("200") {
        found.headers.insert("ETag".to_owned(), tag());
    }
}

fn problem(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}

fn text(description: &str) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String).build());
    header.description = Some(description.to_owned());
    header
}
