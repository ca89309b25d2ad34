//! A new hold.

use axum::extract::{Request, State};
use axum::response::Response;
use maud::html;
use tokio::time::timeout;
use uuid::Uuid;

use crate::admin::Desk;
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{to, token, why};
use crate::admin::upload::{self, Uploaded};
use crate::api::{Problem, Wish, protect};
use crate::domain::keys::Scope;
use crate::intake::{self, Format, Limits, Spooled};

/// What one UUID takes in a JSON list, so that a hold can be as large as one that comes to the API.
const BYTES_AN_ID: usize = 39;
/// So many ids are read at once.
const AT_ONCE: usize = 10_000;

pub(in crate::admin) async fn page(State(desk): State<Desk>, visitor: Visitor) -> Result<Page, Problem> {
    visitor.must(Scope::HoldsWrite)?;
    let orgs: Vec<_> = desk.api.orgs.iter().filter(|org| visitor.caller.reach.covers(&org.name)).collect();
    let body = html! {
        form.card method="post" enctype="multipart/form-data" {
            (token(&visitor))
            p { "From the moment that the hold is in force no conversation that it names is submitted for deletion." }
            div.field { label for="matter" { "Matter" } input #matter name="matter" maxlength="200" required; }
            div.field { label for="external" { "External id (optional)" } input #external name="external" maxlength="200"; }
            div.field { label for="org" { "Org" } select #org name="org" {
                option value="" { "Every org that your key reaches" }
                @for org in &orgs { option { (org.name) } }
            } }
            (why())
            (upload::fields())
            p.buttons { button.primary type="submit" { "Create the hold" } a.button href="/admin/holds" { "Back" } }
        }
    };
    Ok(layout::page(Some(&visitor), "New hold", &body))
}

pub(in crate::admin) async fn create(
    State(desk): State<Desk>,
    visitor: Visitor,
    request: Request,
) -> Result<Response, Problem> {
    visitor.must(Scope::HoldsWrite)?;
    let Uploaded { mut fields, ids } = upload::read(&desk, &visitor, request).await?;
    let max_ids = u64::try_from(desk.api.intake.max_json / BYTES_AN_ID).unwrap_or(u64::MAX);
    let limits = Limits { max_ids, ..Limits::default() };
    let spooling = intake::spool(Format::Csv, ids.into_data_stream(), &desk.api.intake.spool_dir, limits);
    let spooled = timeout(desk.api.connections.whole, spooling).await;
    let spooled = spooled.map_err(|_| Problem::invalid_field("/ids", "the ids came too slowly"))??;
    let ids = listed(&spooled)?;
    let wish = Wish {
        matter: fields.remove("matter").unwrap_or_default(),
        external_id: fields.remove("external"),
        org: fields.remove("org"),
    };
    let reason = fields.remove("reason");
    let by = visitor.by(reason.as_deref());
    let (created, _) = protect(&desk.api, &visitor.caller, by, wish, |_| ids).await?;
    // What it came too late for is the first that somebody has to know.
    let late = if created.too_late.is_empty() { "" } else { "?late=true" };
    Ok(to(&format!("/admin/holds/{}{late}", created.hold.id)))
}

fn listed(spooled: &Spooled) -> Result<Vec<Uuid>, Problem> {
    let mut ids = Vec::new();
    for batch in spooled.ids(AT_ONCE) {
        ids.extend(batch?);
    }
    Ok(ids)
}
