//! A new purge, which begins with a dry run: what may be deleted is submitted from its result.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use maud::html;

use crate::admin::Desk;
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{path, to, token};
use crate::admin::upload::{self, Uploaded};
use crate::api::{KeyId, Problem, submit};
use crate::domain::keys::Scope;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(in crate::admin) async fn page(State(desk): State<Desk>, visitor: Visitor) -> Result<Page, Problem> {
    visitor.must(Scope::PurgesWrite)?;
    let orgs: Vec<_> = desk.api.orgs.iter().filter(|org| visitor.caller.reach.covers(&org.name)).collect();
    let body = html! {
        form.card method="post" enctype="multipart/form-data" {
            (token(&visitor))
            // Sent twice, it makes one purge.
            input type="hidden" name="once" value=((desk.api.new_id)());
            p { "First a dry run finds out what may be deleted. It deletes nothing. You submit from its result." }
            div.field { label for="org" { "Org" } select #org name="org" required {
                @for org in &orgs { option { (org.name) } }
            } }
            div.field { label for="reference" { "Reference (optional)" } input #reference name="reference" maxlength="200"; }
            div.field { label for="reason" { "Reason (optional)" } input #reason name="reason" maxlength="1000"; }
            div.field {
                label for="labels" { "Labels (optional)" }
                input #labels name="labels" placeholder="team:billing, case:4711" aria-describedby="labels-hint";
                p.hint #labels-hint { "Written key:value, with commas between." }
            }
            (upload::fields())
            p.buttons { button.primary type="submit" { "Start the dry run" } a.button href="/admin/purges" { "Back" } }
        }
    };
    Ok(layout::page(Some(&visitor), "New purge", &body))
}

pub(in crate::admin) async fn check(
    State(desk): State<Desk>,
    visitor: Visitor,
    request: Request,
) -> Result<Response, Problem> {
    visitor.must(Scope::PurgesWrite)?;
    let Uploaded { fields, ids } = upload::read(&desk, &visitor, request).await?;
    let labels = fields.get("labels").map(String::as_str).unwrap_or_default();
    let labels = labels.split(',').map(str::trim).map(|label| ("label", label));
    let told = ["org", "reference", "reason"].map(|name| (name, fields.get(name).map_or("", String::as_str)));
    let query: Vec<_> = [("dryRun", "true")].into_iter().chain(told).chain(labels).collect();
    let once = fields.get("once").map_or("", String::as_str);
    accepted(&desk, &visitor, &path("/purges", &query), once, ids).await
}

/// Has a purge accepted, like one that was sent to the API, and leads to it.
pub(super) async fn accepted(
    desk: &Desk,
    visitor: &Visitor,
    path: &str,
    once: &str,
    ids: Body,
) -> Result<Response, Problem> {
    let mut request = Request::new(ids);
    *request.method_mut() = Method::POST;
    let uri = Uri::try_from(path);
    *request.uri_mut() = uri.map_err(|_| Problem::invalid_field("", "the fields are too long"))?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/csv"));
    if let Ok(once) = HeaderValue::from_str(&format!("admin-{once}")) {
        request.headers_mut().insert(IDEMPOTENCY_KEY, once);
    }
    let key = KeyId(visitor.key_id);
    let answer = submit(&desk.api, &visitor.caller, key, visitor.request_id.clone(), request).await?;
    let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    Ok(to(&format!("/admin{}", location.unwrap_or("/purges"))))
}
