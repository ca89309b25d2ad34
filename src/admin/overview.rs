//! What goes on: purges that run, the orgs and how they stand, receivers that fail, and the last hours.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use maud::{Markup, html};

use super::gate::Visitor;
use super::parts::{counted, done, number, span, state, time, to, words};
use super::{Desk, layout, outcomes, plots};
use crate::api::Problem;
use crate::domain::act::OrgAct;
use crate::domain::keys::{Reach, Scope};
use crate::domain::state::PurgeState;
use crate::domain::terms::OrgTerms;
use crate::store::Urgency;
use crate::store::endpoints::{Endpoint, MOST};
use crate::store::purges::list::Wanted;
use crate::store::purges::load::{PAUSED, Purge};
use crate::store::views::orgs::OrgRow;

/// So many open purges are shown.
const SHOWN: usize = 5;

pub(super) async fn page(State(desk): State<Desk>, visitor: Visitor) -> Result<Response, Problem> {
    if !visitor.may(Scope::PurgesRead) {
        if visitor.may(Scope::WebhooksWrite) {
            return Ok(to("/admin/webhooks"));
        }
        visitor.must(Scope::PurgesRead)?;
    }
    let live = live(&desk, &visitor).await?;
    // What is fetched every few seconds is the part that changes.
    let plots = if visitor.is_refresh {
        html! {}
    } else {
        plots::both(&desk, &visitor.caller.reach).await?
    };
    let body = html! {
        (live)
        h2 { "Last 24 hours, times in UTC" }
        (plots)
    };
    Ok(layout::page(Some(&visitor), "Overview", &body).into_response())
}

async fn live(desk: &Desk, visitor: &Visitor) -> Result<Markup, Problem> {
    let (store, reach) = (&desk.api.store, &visitor.caller.reach);
    let names: Vec<String> =
        desk.api.orgs.iter().map(|org| org.name.clone()).filter(|org| reach.covers(org)).collect();
    let rows = store.orgs(reach, &names, Urgency::Ordinary).await?;
    let open: i64 = rows.iter().map(|row| row.open_purges).sum();
    let oldest = store.oldest_open_purge(reach).await?;
    let shown = some_open(desk, reach).await?;
    let failing = if visitor.may(Scope::WebhooksWrite) { failing(desk, reach).await? } else { Vec::new() };
    let now = (desk.api.hooks.clock)();
    Ok(html! {
        div #live hx-get="/admin" hx-trigger="every 5s" hx-select="#live" hx-target="#live" hx-swap="outerHTML" {
            div.tiles {
                (tile("Open purges", &number(open)))
                (tile("Live upstream jobs", &number(rows.iter().map(|row| row.live_jobs).sum())))
                (tile("Calls in the last minute", &number(rows.iter().map(|row| i64::from(row.calls_last_minute)).sum())))
                (oldest_tile(oldest.as_ref(), now))
            }
            @if !failing.is_empty() { (receivers(&failing)) }
            h2 { "Orgs" }
            div.cards { @for row in &rows { (org(visitor, &desk.api.orgs, row)) } }
            h2 { "Open purges, those that run first" }
            (purges(&shown))
            p.hint { "As of " (time(now)) }
        }
    })
}

fn tile(name: &str, value: &str) -> Markup {
    html! { div.tile { span.name { (name) } span.value { (value) } } }
}

fn oldest_tile(oldest: Option<&Purge>, now: Timestamp) -> Markup {
    html! {
        div.tile {
            span.name { "Oldest open purge" }
            @match oldest {
                Some(purge) => {
                    a.value href={ "/admin/purges/" (purge.id) } { (span(now.duration_since(purge.created_at).as_secs())) }
                }
                None => span.value { "none" }
            }
        }
    }
}

/// Some of the purges that have not ended: those that run, then those that could, then the others; newest first of each state.
async fn some_open(desk: &Desk, reach: &Reach) -> Result<Vec<Purge>, Problem> {
    const ORDER: [PurgeState; 5] = [
        PurgeState::Running,
        PurgeState::Canceling,
        PurgeState::Queued,
        PurgeState::Paused,
        PurgeState::AwaitingApproval,
    ];
    let mut shown = Vec::new();
    for state in ORDER {
        if shown.len() < SHOWN {
            let wanted = Wanted { state: Some(state), ..Wanted::default() };
            let (purges, _) = desk.api.store.list_purges(reach, &wanted, None, SHOWN - shown.len()).await?;
            shown.extend(purges);
        }
    }
    Ok(shown)
}

async fn failing(desk: &Desk, reach: &Reach) -> Result<Vec<Endpoint>, Problem> {
    let mut endpoints = desk.api.store.endpoints(reach, None, MOST).await?;
    endpoints.retain(|endpoint| {
        (endpoint.enabled && endpoint.failures > 0)
            || endpoint.disabled.as_ref().is_some_and(|(_, reason)| reason.is_some())
    });
    Ok(endpoints)
}

fn receivers(failing: &[Endpoint]) -> Markup {
    html! {
        h2 { "Failing webhook endpoints" }
        ul.plain-list {
            @for endpoint in failing {
                li.notice.bad {
                    a href={ "/admin/webhooks/endpoints/" (endpoint.id) } { (endpoint.url) } ": "
                    @match endpoint.disabled.as_ref().and_then(|(_, reason)| reason.as_deref()) {
                        Some(reason) => { "disabled, " (reason) }
                        None => {
                            (counted(endpoint.failures.into(), "failure", "failures")) " in a row"
                            @if let Some(since) = endpoint.failing_since { " since " (time(since)) }
                        }
                    }
                }
            }
        }
    }
}

fn org(visitor: &Visitor, terms: &[OrgTerms], row: &OrgRow) -> Markup {
    let terms = terms.iter().find(|terms| terms.name == row.name);
    let slots = terms.map_or(0, |terms| terms.slots);
    let per_minute = terms.map(|terms| terms.per_minute).filter(|limit| *limit > 0);
    let per_minute = [per_minute, row.allowed_per_minute].into_iter().flatten().min();
    let may = visitor.may(Scope::Admin);
    html! {
        section.card.org aria-label={ "Org " (row.name) } {
            h3 { (row.name) " " (condition(row)) }
            @if let Some(stop) = &row.stopped {
                p.notice.bad {
                    @if stop.code == "org_stopped" { "Stopped by " (stop.by) } @else { "Stopped: the database went back in time" }
                    ", " (time(stop.since)) @if let Some(reason) = &stop.reason { ": " (reason) }
                }
            }
            @if let Some(since) = row.paused_since { p.notice.bad { "Paused since " (time(since)) ": " (PAUSED) "." } }
            @if let Some(blocked) = &row.blocked {
                p.notice.bad {
                    strong { (words(&blocked.code)) } ": " (blocked.detail) " Since " (time(blocked.since))
                    ", next try " (time(blocked.next_try_at)) "."
                }
            }
            @if let Some(until) = row.closed_until { p.notice { "Genesys asked to wait until " (time(until)) } }
            dl.facts {
                div { dt { "Upstream jobs" } dd {
                    meter min="0" max=(slots) value=(row.live_jobs) aria-label="Upstream jobs in use" {} " "
                    (number(row.live_jobs)) " of " (slots) @if row.waiting_jobs > 0 { ", " (number(row.waiting_jobs)) " waiting" }
                } }
                div { dt { "Calls a minute" } dd {
                    @if let Some(limit) = per_minute {
                        meter min="0" max=(limit) value=(row.calls_last_minute) aria-label="Calls a minute in use" {} " "
                        (row.calls_last_minute) " of " (limit)
                    } @else { (row.calls_last_minute) ", no limit" }
                } }
                div { dt { "Open purges" } dd {
                    a href={ "/admin/purges?org=" (encoded(&row.name)) } { (number(row.open_purges)) }
                } }
                div { dt { "Token" } dd {
                    @match row.token {
                        Some((_, until)) if until > row.read_at => { "good for " (span(until.duration_since(row.read_at).as_secs())) }
                        Some(_) => "expired; a new one is fetched with the next call",
                        None => "none yet",
                    }
                } }
            }
            @if row.stopped.is_none() { (acts(row)) }
            @if may {
                p.buttons {
                    @if row.stopped.is_none() {
                        a.button.danger id={ "stop-" (row.name) } href={ "/admin/orgs/" (encoded(&row.name)) "/stop" } { "Stop " (row.name) }
                    }
                    @if row.stopped.is_some() || row.blocked.as_ref().is_some_and(|blocked| blocked.code == "too_many_conflicts") {
                        a.button id={ "resume-" (row.name) } href={ "/admin/orgs/" (encoded(&row.name)) "/resume" } { "Resume " (row.name) }
                    }
                }
            }
        }
    }
}

/// Who stopped it last, and who had it go on.
fn acts(row: &OrgRow) -> Markup {
    html! {
        @for act in &row.acts {
            p.hint {
                @match act.act { OrgAct::Stop => "Last stopped ", OrgAct::Resume => "Last resumed " }
                (done(&act.by, act.at, act.reason.as_deref()))
            }
        }
    }
}

/// A name within a path.
pub(super) fn encoded(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

fn condition(row: &OrgRow) -> Markup {
    html! {
        @if row.stopped.is_some() { span.state.failed { "stopped" } }
        @else if row.paused_since.is_some() { span.state.paused { "paused" } }
        @else if row.blocked.is_some() { span.state.failed { "blocked" } }
        @else if row.closed_until.is_some() { span.state.paused { "waiting" } }
        @else { span.state.completed { "working" } }
    }
}

/// Purges, a line each.
fn purges(open: &[Purge]) -> Markup {
    html! {
        @if open.is_empty() { p { "None." } }
        ul.plain-list {
            @for purge in open {
                li.card {
                    p.line {
                        a href={ "/admin/purges/" (purge.id) } { (purge.reference.clone().unwrap_or_else(|| purge.id.to_string())) }
                        " " (state(purge.state, purge.is_dry_run)) " "
                        @if let Some((code, _)) = &purge.blocked { span.state.failed { "waiting: " (words(code)) } " " }
                        span { (counted(purge.counts.total, "conversation", "conversations")) " · " (purge.org) }
                    }
                    (outcomes::strip(&purge.counts))
                }
            }
        }
        p { a href="/admin/purges" { "All purges" } }
    }
}
