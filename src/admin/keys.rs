//! API keys: whose they are and what they allow.

use axum::extract::State;
use maud::{Markup, html};

use super::Desk;
use super::gate::Visitor;
use super::layout::{self, Page};
use super::parts::{time, time_if_any};
use crate::api::Problem;
use crate::domain::keys::Scope;
use crate::store::keys::KeyRow;

pub(super) async fn page(State(desk): State<Desk>, visitor: Visitor) -> Result<Page, Problem> {
    visitor.must(Scope::Admin)?;
    let keys = desk.api.store.list_keys().await?;
    let shown: Vec<&KeyRow> = keys.iter().filter(|key| is_shown(&visitor, key)).collect();
    let body = html! {
        p.hint { "Keys are created and revoked on the command line: " code { "genesys-purge keys create" } ", " code { "genesys-purge keys revoke" } "." }
        div.scroll tabindex="0" role="region" aria-label="Keys" { table.stacked {
            thead { tr {
                th scope="col" { "Name" } th scope="col" { "Key" } th scope="col" { "Scopes" } th scope="col" { "Orgs" }
                th scope="col" { "Created" } th scope="col" { "Last used" } th scope="col" { "Ends" }
            } }
            tbody { @for key in shown { (row(&visitor, key)) } }
        } }
    };
    Ok(layout::page(Some(&visitor), "API keys", &body))
}

/// Whoever reaches some orgs sees the keys that reach no others.
fn is_shown(visitor: &Visitor, key: &KeyRow) -> bool {
    let reach = &visitor.caller.reach;
    reach.is_everywhere()
        || key.caller.reach.orgs().is_some_and(|orgs| orgs.iter().all(|org| reach.covers(org)))
}

fn row(visitor: &Visitor, key: &KeyRow) -> Markup {
    html! {
        tr {
            td data-name="Name" { (key.caller.name) @if key.id == visitor.key_id { " " span.label { "this session" } } }
            td data-name="Key" { code { (key.prefix) "…" } }
            td data-name="Scopes" { @for scope in &key.caller.scopes { span.label { (scope) } " " } }
            td data-name="Orgs" { @match key.caller.reach.orgs() { Some(orgs) => (orgs.join(", ")), None => "all" } }
            td data-name="Created" { (time(key.created_at)) }
            td data-name="Last used" { (time_if_any(key.last_used_at)) }
            td data-name="Ends" { (end(key)) }
        }
    }
}

/// When it ended, or will end.
fn end(key: &KeyRow) -> Markup {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => html! { "revoked " (time(at)) },
        (None, Some(at)) if key.is_in_force => html! { "expires " (time(at)) },
        (None, Some(at)) => html! { "expired " (time(at)) },
        (None, None) => html! { span.none { "never" } },
    }
}
