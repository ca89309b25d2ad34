//! `webhooks list | redeliver`: what became of webhooks, and sending them again.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::problem::{Trouble, plain};
use super::service::{Service, read};
use super::{Connection, duration};
use crate::cli::output;
use crate::cli::setting::Setting;

/// A short answer may take so long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Only those in this state.
    #[arg(long, value_parser = ["pending", "delivered", "dead"])]
    state: Option<String>,
    /// Only those that were written since: a time such as 2026-11-25T12:00:00Z, or how long ago: "30m", "2h".
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Print each as JSON, one per line.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    At(Timestamp),
    Ago(Duration),
}

impl Since {
    fn moment(self, setting: &Setting) -> anyhow::Result<Timestamp> {
        match self {
            Self::At(moment) => Ok(moment),
            Self::Ago(ago) => {
                (setting.world.clock())().checked_sub(ago).context("that is longer ago than can be told")
            }
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    text.parse().map(Since::At).or_else(|_| duration(text).map(Since::Ago)).map_err(|_| {
        "expected a time such as 2026-11-25T12:00:00Z, or how long ago, such as 30m or 2h".to_owned()
    })
}

/// What this command reads of a page.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<Value>,
    next_cursor: Option<String>,
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
    let mut cursor: Option<String> = None;
    loop {
        let filters = [("state", args.state.clone()), ("since", since.map(|since| since.to_string()))];
        let query = filters.into_iter().chain([("cursor", cursor)]);
        let query: Vec<_> = query.filter_map(|(name, value)| Some((name, value?))).collect();
        let request = service.request(Method::GET, "/webhook-deliveries").query(&query);
        let page: Page = understood(&answer(request).await?)?;
        for item in page.items {
            if args.json {
                output::line(item)?;
            } else {
                output::line(line(&understood(&item)?))?;
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

pub(super) async fn redeliver(setting: &Setting, args: &RedeliverArgs) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    if let Some(id) = args.id {
        answer(service.request(Method::POST, &format!("/webhook-deliveries/{id}/redeliver"))).await?;
        output::line("sent again")?;
    }
    if let Some(since) = args.failed_since {
        let since = since.moment(setting)?;
        let (mut number, mut cursor) = (0, None);
        loop {
            let order = json!({ "since": since, "state": "dead", "cursor": cursor });
            let request = service.request(Method::POST, "/webhook-deliveries/redeliver").json(&order);
            let done = answer(request).await;
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

async fn answer(request: RequestBuilder) -> Result<Value, Trouble> {
    read(request.timeout(ANSWER_TIMEOUT).send().await).await
}

fn understood<T: for<'de> Deserialize<'de>>(answer: &Value) -> Result<T, Trouble> {
    T::deserialize(answer).map_err(|error| {
        let why = format!("the answer is not understood ({error}); is the URL that of the service?");
        Trouble::Unreadable(anyhow::anyhow!(why))
    })
}

/// One line, for a person and for `awk`: what is not there is `-`.
fn line(delivery: &Delivery) -> String {
    let Delivery { id, created_at, state, attempt, event, org, last_error } = delivery;
    let or_nothing = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), plain);
    let [org, error] = [org, last_error].map(or_nothing);
    format!("{id}  {created_at:.0}  {:<9}  {attempt:>2}  {}  {org}  {error}", plain(state), plain(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_or_how_long_ago() {
        let moment: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-25T12:00:00Z", Some(Since::At(moment))),
            ("2026-11-25T13:00:00+01:00", Some(Since::At(moment))),
            ("2h", Some(Since::Ago(Duration::from_hours(2)))),
            ("yesterday", None),
            ("2026-11-25", None),
            ("", None),
        ] {
            assert_eq!(since(text).ok(), expected, "{text}");
        }
    }
}
