//! One delivery: what it sends, and what became of each attempt.

use axum::extract::{FromRequest as _, Request, State};
use axum::response::Response;
use maud::{Markup, html};
use uuid::Uuid;

use super::deliveries::{endpoint, state};
use crate::admin::Desk;
use crate::admin::form::{Checked, Nothing};
use crate::admin::gate::Visitor;
use crate::admin::layout::{self, Page};
use crate::admin::parts::{facts, none, text_if_any, time, time_if_any, to, token, took, words};
use crate::admin::place::At;
use crate::api::{Problem, again};
use crate::domain::keys::Scope;
use crate::domain::state::DeliveryState;
use crate::store::deliveries::read::{AttemptRow, DeliveryRow};

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
) -> Result<Page, Problem> {
    visitor.must(Scope::WebhooksWrite)?;
    let found = desk.api.store.delivery(&visitor.caller.reach, id).await?;
    let (delivery, attempts) = found.ok_or_else(|| Problem::not_found("delivery"))?;
    let here = format!("/admin/webhooks/deliveries/{id}");
    let poll = (delivery.state == DeliveryState::Pending).then_some("every 2s");
    let body = html! {
        div #live hx-get=[poll.map(|_| &here)] hx-trigger=[poll] hx-select="#live" hx-target="#live" hx-swap="outerHTML" {
            (about(&delivery))
            form method="post" action={ (here) "/redeliver" } {
                (token(&visitor))
                p.buttons { button #redeliver type="submit" { "Send again" } }
            }
            h2 { "Attempts, newest first" }
            @if attempts.is_empty() { p { "None yet." } }
            @for attempt in &attempts { (self::attempt(attempt)) }
        }
        h2 { "Body" }
        pre tabindex="0" { (delivery.payload) }
    };
    Ok(layout::page(Some(&visitor), &format!("Delivery: {}", words(delivery.event.as_str())), &body))
}

fn about(delivery: &DeliveryRow) -> Markup {
    let next = (delivery.state == DeliveryState::Pending).then_some(delivery.run_at);
    facts(&[
        ("State", state(delivery.state)),
        ("Endpoint", endpoint(delivery)),
        (
            "Purge",
            html! { @match delivery.purge { Some(purge) => a href={ "/admin/purges/" (purge) } { code { (purge) } }, None => (none()) } },
        ),
        ("Upstream job", text_if_any(delivery.upstream_job_id.as_deref())),
        ("Org", text_if_any(delivery.org.as_deref())),
        ("webhook-id", html! { code { (delivery.event_id) } }),
        ("Created", time(delivery.created_at)),
        ("Delivered", time_if_any(delivery.delivered_at)),
        ("Next attempt", time_if_any(next)),
    ])
}

fn attempt(attempt: &AttemptRow) -> Markup {
    html! {
        section.card {
            h3 { "Attempt " (attempt.attempt) }
            p {
                (time(attempt.at)) " · "
                @match attempt.status { Some(status) => { "answered " strong { (status) } } None => strong { "no answer" } }
                " · " (took(attempt.latency_seconds))
            }
            @if let Some(error) = &attempt.error { p.notice.bad { (error) } }
            @if let Some(response) = attempt.response.as_ref().filter(|response| !response.is_empty()) {
                pre tabindex="0" { (response) }
            }
        }
    }
}

pub(in crate::admin) async fn redeliver(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
    request: Request,
) -> Result<Response, Problem> {
    visitor.must(Scope::WebhooksWrite)?;
    let Checked(Nothing {}) = Checked::from_request(request, &()).await?;
    again(&desk.api, &visitor.caller.reach, visitor.by(None), id).await?;
    Ok(to(&format!("/admin/webhooks/deliveries/{id}")))
}
