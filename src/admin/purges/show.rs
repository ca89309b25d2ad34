//! One purge: how it stands, what happened, its jobs, and what it did not delete.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use uuid::Uuid;

use super::conversations::{Looks, rows};
use super::{name, read};
use crate::admin::gate::Visitor;
use crate::admin::parts::{
    counted, done, facts, none, number, span, state, text_if_any, time, time_if_any, took, words,
};
use crate::admin::place::At;
use crate::admin::{Desk, layout, outcomes};
use crate::api::{Problem, pace};
use crate::domain::act::Act;
use crate::domain::keys::{Reach, Scope};
use crate::domain::outcome::Outcome;
use crate::store::Store;
use crate::store::purges::load::Purge;
use crate::store::views::events::EventRow;
use crate::store::views::jobs::JobRow;

/// So many jobs, and so many conversations of each outcome, are shown here; the rest on pages of their own.
const JOBS: i64 = 20;
const EXCEPTIONS: usize = 5;
/// The first events of a purge and the last ones say the most.
const EVENTS: i64 = 30;

pub(in crate::admin) async fn page(
    State(desk): State<Desk>,
    visitor: Visitor,
    At(id): At<Uuid>,
) -> Result<Response, Problem> {
    let purge = read(&desk, &visitor, id).await?;
    let (store, reach) = (&desk.api.store, &visitor.caller.reach);
    let jobs = store.jobs_of(reach, id, None, JOBS + 1).await?.unwrap_or_default();
    let events = store.events_of(reach, id, 0, EVENTS + 1).await?.unwrap_or_default();
    let exceptions = exceptions(store, reach, &purge).await?;
    let poll = (!purge.state.is_final()).then_some("every 2s");
    let here = format!("/admin/purges/{id}");
    let body = html! {
        div #live hx-get=[poll.map(|_| &here)] hx-trigger=[poll] hx-select="#live" hx-target="#live" hx-swap="outerHTML" {
            p.line { (state(purge.state, purge.is_dry_run)) " " (counted(purge.counts.total, "conversation", "conversations")) " · org " strong { (purge.org) } }
            (warnings(&purge))
            (outcomes::bar(&purge.counts, Some(&format!("{here}/conversations"))))
            (more(&visitor, &purge))
            (acts(&visitor, &purge))
            (about(&purge))
            (exceptions)
            @if !purge.is_dry_run { (self::jobs(&jobs)) }
            (timeline(&events))
        }
    };
    Ok(layout::page(Some(&visitor), &name(&purge), &body).into_response())
}

fn warnings(purge: &Purge) -> Markup {
    html! {
        @if let Some((code, detail)) = &purge.blocked { p.notice.bad { strong { "Waiting: " (words(code)) } ". " (detail) } }
        @if let Some(why) = &purge.paused_for { p.notice.bad { strong { "Paused by the service" } ". " (why) } }
        @if let Some(parked) = &purge.parked {
            p.notice.bad {
                (counted(parked.conversations, "conversation", "conversations")) " can't be read from the database since "
                (time(parked.since)) " and wait for an operator: " (parked.error)
            }
        }
        @if purge.is_dry_run && purge.state.is_final() && purge.counts.would_purge == 0 {
            p.notice { "Nothing of it could be deleted now." }
        }
    }
}

/// What else there is of it.
fn more(visitor: &Visitor, purge: &Purge) -> Markup {
    let here = format!("/admin/purges/{}", purge.id);
    html! {
        p.line {
            a href={ (here) "/conversations" } { "All conversations" }
            a href={ (here) "/report.csv" } { "Report (CSV)" }
            @if visitor.may(Scope::WebhooksWrite) {
                a href={ "/admin/webhooks/deliveries?purge=" (purge.id) } { "Webhook deliveries" }
            }
        }
    }
}

fn acts(visitor: &Visitor, purge: &Purge) -> Markup {
    let may = visitor.may(Scope::PurgesWrite);
    let can = |act: &&Act| act.leads_to(purge.state, purge.started_at.is_some()).is_some();
    let acts: Vec<Act> = Act::ALL.iter().filter(can).copied().filter(|_| may).collect();
    let can_submit = may && purge.is_dry_run && purge.state.is_final() && purge.counts.would_purge > 0;
    html! {
        @if can_submit || !acts.is_empty() {
            p.buttons {
                @if can_submit {
                    a.button.danger #submit href={ "/admin/purges/" (purge.id) "/submit" } {
                        "Delete " (counted(purge.counts.would_purge, "conversation", "conversations")) "…"
                    }
                }
                @for act in acts {
                    a.button.danger[act == Act::Cancel] id=(act) href={ "/admin/purges/" (purge.id) "/" (act) } { (super::act::label(act)) }
                }
            }
        }
    }
}

fn about(purge: &Purge) -> Markup {
    let labels = purge.labels.as_object();
    let took = purge.started_at.map(|started| {
        let until = purge.finished_at.unwrap_or(purge.read_at);
        span(until.duration_since(started).as_secs())
    });
    let acts = purge.acts.iter().map(|act| {
        let name = match act.act {
            Act::Cancel => "Canceled",
            Act::Pause => "Paused",
            Act::Resume => "Resumed",
            Act::Retry => "Retried",
        };
        (name, done(&act.by, act.at, act.reason.as_deref()))
    });
    let mut rows = vec![
        ("Reason", text_if_any(purge.reason.as_deref())),
        ("Reference", text_if_any(purge.reference.as_deref())),
        (
            "Labels",
            html! {
                @for (key, value) in labels.into_iter().flatten() { span.label { (key) ":" (value.as_str().unwrap_or_default()) } " " }
                @if labels.is_none_or(serde_json::Map::is_empty) { (none()) }
            },
        ),
        ("Requested by", html! { (purge.requested_by) }),
        ("Accepted", time(purge.created_at)),
        ("Started", time_if_any(purge.started_at)),
        ("Ended", time_if_any(purge.finished_at)),
        ("Took", text_if_any(took.as_deref())),
        ("Speed", speed(purge)),
        ("Run", html! { (purge.run) }),
        ("Repeated ids", html! { (number(purge.counts.duplicates)) }),
        ("Id", html! { code { (purge.id) } }),
    ];
    rows.extend(acts);
    html! { h2 { "About" } (facts(&rows)) }
}

/// How fast it goes, and until when.
fn speed(purge: &Purge) -> Markup {
    let (per_minute, end) = pace(purge);
    html! {
        @match per_minute { Some(many) => { (format!("{many:.0}")) " per minute" } None => (none()) }
        @if let Some(end) = end { ", until about " (time(end)) }
    }
}

/// The first conversations of each outcome that is not the one that was asked for.
async fn exceptions(store: &Store, reach: &Reach, purge: &Purge) -> Result<Markup, Problem> {
    const KINDS: &[Outcome] =
        &[Outcome::Failed, Outcome::OnHold, Outcome::Retained, Outcome::Active, Outcome::NotFound];
    let many = |kind: Outcome| {
        let word = kind.as_str();
        outcomes::of(&purge.counts).iter().find(|(name, ..)| *name == word).map_or(0, |(.., many)| *many)
    };
    let mut found = Vec::new();
    for kind in KINDS.iter().copied().filter(|kind| many(*kind) > 0) {
        let page = store.conversations(reach, purge.id, Some(kind), None, EXCEPTIONS).await?;
        let list = page.map(|(rows, _)| rows).unwrap_or_default();
        found.push((kind, list));
    }
    let title = if purge.is_dry_run { "Would not be deleted" } else { "Not deleted" };
    Ok(html! {
        @if !found.is_empty() {
            h2 { (title) }
            @for (kind, list) in &found {
                h3.outcome { (words(kind.as_str())) " " span.count { (number(many(*kind))) } }
                @if list.is_empty() { p { "They are further down the list." } } @else { (rows(list, &Looks { name: &words(kind.as_str()), has_outcome: false })) }
                @if many(*kind) > i64::try_from(list.len()).unwrap_or(i64::MAX) {
                    p { a href={ "/admin/purges/" (purge.id) "/conversations?outcome=" (kind) } { "All " (words(kind.as_str())) } }
                }
            }
        }
    })
}

fn jobs(jobs: &[JobRow]) -> Markup {
    let shown = usize::try_from(JOBS).unwrap_or(usize::MAX);
    html! {
        h2 { "Upstream jobs" }
        @if jobs.is_empty() { p { "None yet." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Upstream jobs" { table.stacked {
                thead { tr {
                    th scope="col" { "Upstream job" } th scope="col" { "State" } th.number scope="col" { "Conversations" }
                    th.number scope="col" { "Processed" } th.number scope="col" { "Latency" } th scope="col" { "Submitted" } th scope="col" { "Last error" }
                } }
                tbody { @for job in jobs.iter().take(shown) { (self::job(job)) } }
            } }
            @if jobs.len() > shown { p.hint { "The first " (JOBS) " jobs. The API lists all of them." } }
        }
    }
}

fn job(job: &JobRow) -> Markup {
    let error = job.last_error.as_ref().map(|error| {
        let said = error.get("detail").or_else(|| error.get("message")).and_then(serde_json::Value::as_str);
        said.map_or_else(|| error.to_string(), str::to_owned)
    });
    html! {
        tr {
            td data-name="Upstream job" { @match &job.upstream_job_id { Some(id) => code { (id) }, None => (none()) } }
            td data-name="State" {
                (words(job.state.as_str()))
                @if let Some(result) = job.result { ", " (words(result.as_str())) }
            }
            td.number data-name="Conversations" { (number(job.conversations)) }
            td.number data-name="Processed" { @match job.records_processed { Some(many) => (number(many)), None => (none()) } }
            td.number data-name="Latency" { @match job.latency_seconds { Some(seconds) => { (took(seconds)) } None => (none()) } }
            td data-name="Submitted" { (time_if_any(job.submitted_at)) }
            td.text data-name="Last error" { (text_if_any(error.as_deref())) }
        }
    }
}

fn timeline(events: &[EventRow]) -> Markup {
    let shown = usize::try_from(EVENTS).unwrap_or(usize::MAX);
    html! {
        h2 { "Timeline" }
        ol.timeline {
            @for event in events.iter().take(shown) {
                li {
                    (time(event.at)) " " strong { (words(event.event.as_str())) } " "
                    span.hint {
                        @if event.actor != crate::domain::keys::SERVICE { "by " (event.actor) " " }
                        @if let Some(job) = &event.upstream_job_id { "job " code { (job) } }
                        @if let Some(reason) = event.payload.get("reason").and_then(serde_json::Value::as_str) { "(" (reason) ")" }
                    }
                }
            }
        }
        @if events.len() > shown { p.hint { "The first " (EVENTS) " events. The API lists all of them." } }
    }
}
