//! One endpoint, and what was sent to it last.

use axum::extract::State;
use maud::{Markup, html};
use uuid::Uuid;

use super::deliveries::table;
use super::list::{events, orgs, state};
use super::read;
use crate::admin::Desk;
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{facts, text_if_any, time};
use crate::admin::place::At;
use crate::api::Problem;
use crate::store::deliveries::list::Wanted;
use crate::store::endpoints::Endpoint;

/// So many deliveries are shown here.
const LAST: usize = 10;

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
) -> Result<Page, Problem> {
    let endpoint = read(&desk, &visitor, id).await?;
    let wanted = Wanted { endpoint: Some(id.to_string()), ..Wanted::default() };
    let (sent, _) = desk.api.store.list_deliveries(&visitor.caller.reach, &wanted, None, LAST).await?;
    let here = format!("/admin/webhooks/endpoints/{id}");
    let body = html! {
        (about(&endpoint))
        p.buttons {
            a.button href={ (here) "/test" } { "Send a test" }
            a.button href={ (here) "/rotate" } { "Rotate the secret" }
            @if endpoint.enabled { a.button.danger href={ (here) "/disable" } { "Disable" } }
            @else { a.button href={ (here) "/enable" } { "Enable" } }
        }
        h2 { "Last deliveries" }
        (table(&sent))
        p { a href={ "/admin/webhooks/deliveries?endpoint=" (id) } { "All of its deliveries" } }
    };
    Ok(layout::page(Some(&visitor), &endpoint.url, &body))
}

fn about(endpoint: &Endpoint) -> Markup {
    let (at, why) = endpoint.disabled.clone().unzip();
    let mut rows = vec![
        ("State", state(endpoint)),
        ("Events", events(endpoint)),
        ("Orgs", orgs(endpoint)),
        ("Description", text_if_any(endpoint.description.as_deref())),
        ("Created", html! { (time(endpoint.created_at)) " by " (endpoint.created_by) }),
        ("Id", html! { code { (endpoint.id) } }),
    ];
    let disabled = at.map(|at| html! { (time(at)) @if let Some(why) = why.flatten() { ": " (why) } });
    let rare = [
        ("Disabled", disabled),
        ("Failing since", endpoint.failing_since.map(time)),
        ("Not tried before", endpoint.resting_until.map(time)),
        ("Old secret signs until", endpoint.previous_until.map(time)),
    ];
    rows.extend(rare.into_iter().filter_map(|(name, value)| Some((name, value?))));
    facts(&rows)
}
