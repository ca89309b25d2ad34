//! `webhooks list | show | redeliver`: what became of webhooks, and sending them again.

use std::process::ExitCode;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::caller::{
    Connection, Fields, One, Pages, Service, Since, Table, Trouble, moment, plain, print, since, text,
    understood, width,
};
use crate::cli::output;
use crate::cli::setting::Setting;

const HEADS: &[&str] = &["id", "created", "state", "attempts", "event", "org", "error"];

/// A webhook.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Which {
    /// The id that `webhooks list` shows.
    id: Uuid,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those in this state.
    #[arg(long, value_parser = ["pending", "delivered", "dead"])]
    state: Option<String>,
    /// Only those that were written since: a time such as 2026-11-25T12:00:00Z, or how long ago: "30m", "2h".
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Print each as JSON, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RedeliverArgs {
    /// The id that `webhooks list` shows.
    #[arg(required_unless_present = "failed_since", conflicts_with = "failed_since")]
    id: Option<Uuid>,
    /// All that were given up and were written since: a time such as 2026-11-25T12:00:00Z, or how long ago: "30m", "2h".
    #[arg(long, value_name = "TIME", value_parser = since)]
    failed_since: Option<Since>,
    #[command(flatten)]
    connection: Connection,
}

/// What it reads of a delivery.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    id: Uuid,
    created_at: Timestamp,
    state: String,
    attempt: u32,
    event: String,
    org: Option<String>,
    last_error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Redelivered {
    redelivered: u64,
    next_cursor: Option<String>,
}

pub(super) async fn list(setting: &Setting, args: &ListArgs) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let since = args.since.map(|since| since.moment(setting)).transpose()?;
    let filters = vec![("state", args.state.clone()), ("since", since.map(|since| since.to_string()))];
    let mut pages = Pages::new(&service, "/webhook-deliveries", filters, None);
    while let Some(items) = pages.next().await? {
        if args.json {
            for item in items {
                output::line(item)?;
            }
            continue;
        }
        let rows = items.iter().map(row).collect::<Result<_, _>>()?;
        output::write(Table::new(HEADS, rows).rendered(width()))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn show(setting: &Setting, args: &One<Which>) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let answer = service.get(&format!("/webhook-deliveries/{}", args.which.id), &[]).await?;
    print(&answer, args.json, shown)?;
    Ok(ExitCode::SUCCESS)
}

fn shown(delivery: &Value) -> String {
    let mut fields = Fields::default();
    for (name, place) in [
        ("webhook", "/id"),
        ("state", "/state"),
        ("event", "/event"),
        ("endpoint", "/endpoint"),
        ("org", "/org"),
        ("purge", "/purgeId"),
        ("job", "/jobId"),
    ] {
        fields.add(name, text(delivery, place));
    }
    fields.add("created", moment(delivery, "/createdAt"));
    fields.add("next try", moment(delivery, "/nextAttemptAt"));
    fields.add("delivered", moment(delivery, "/deliveredAt"));
    fields.add("payload", text(delivery, "/payload"));
    for attempt in delivery["attempts"].as_array().into_iter().flatten() {
        let told = [moment(attempt, "/at"), text(attempt, "/status"), text(attempt, "/error")];
        let told: Vec<String> = told.into_iter().filter(|told| told != "-").collect();
        fields.add("attempt", told.join(" "));
    }
    fields.rendered(width())
}

pub(super) async fn redeliver(setting: &Setting, args: &RedeliverArgs) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    if let Some(id) = args.id {
        service.post(&format!("/webhook-deliveries/{id}/redeliver"), None).await?;
        output::line("sent again")?;
    }
    if let Some(since) = args.failed_since {
        let since = since.moment(setting)?;
        let (mut number, mut cursor) = (0, None);
        loop {
            let order = json!({ "since": since, "state": "dead", "cursor": cursor });
            let done = service.post("/webhook-deliveries/redeliver", Some(&order)).await;
            if done.is_err() && number > 0 {
                output::note(format_args!(
                    "{number} were sent again before that; say it once more for the rest"
                ));
            }
            let done: Redelivered = understood(&done?)?;
            number += done.redelivered;
            cursor = done.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        output::line(format_args!("{number} sent again"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is not there is `-`.
fn row(item: &Value) -> Result<Vec<String>, Trouble> {
    let Delivery { id, created_at, state, attempt, event, org, last_error } = understood(item)?;
    let or_nothing = |text: Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), plain);
    let [org, error] = [org, last_error].map(or_nothing);
    let created = format!("{created_at:.0}");
    Ok(vec![id.to_string(), created, plain(&state), attempt.to_string(), plain(&event), org, error])
}
