//! `keys create | list | revoke`.

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use jiff::civil::Date;
use jiff::fmt::friendly::SpanParser;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::json;
use uuid::Uuid;

use super::caller::{Table, width};
use super::output;
use super::setting::Setting;
use crate::config::Settings;
use crate::domain::keys::{Caller, Reach, SERVICE, Scope, format_key};
use crate::store::Store;
use crate::store::keys::KeyRow;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Create a key; it is printed once, alone on the last line.
    Create(CreateArgs),
    /// List all keys, oldest first: what they allow, when they were used last, and whether they are in force.
    List {
        /// Print each as JSON, one per line.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key, permanently.
    Revoke {
        /// The id that `keys list` shows.
        id: Uuid,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// Who will use it: the actor in every event. No other key in force has this name.
    #[arg(long, value_parser = name)]
    name: String,
    /// What it allows; may be repeated.
    #[arg(long = "scope", required = true, value_parser = scope)]
    scopes: Vec<Scope>,
    /// The org that it is limited to; may be repeated. Left out: every org.
    #[arg(long = "org")]
    orgs: Vec<String>,
    /// When it expires: "90d", "12h", or the date or time from which on it is refused, such as 2027-01-31 (UTC). Left out:
    /// never.
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Expiry>,
}

/// When a key ends.
#[derive(Debug, Clone, Copy)]
enum Expiry {
    At(Timestamp),
    After(Span),
}

impl Expiry {
    fn moment(self, now: Timestamp) -> anyhow::Result<Timestamp> {
        let moment = match self {
            Self::At(moment) => moment,
            Self::After(span) => {
                let end = now.to_zoned(TimeZone::UTC).checked_add(span);
                end.context("--expires: that is too far away")?.timestamp()
            }
        };
        ensure!(moment > now, "--expires: {moment:.0} has passed; choose a time to come");
        Ok(moment)
    }
}

fn expiry(text: &str) -> Result<Expiry, String> {
    static FRIENDLY: SpanParser = SpanParser::new();
    let date = || Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let moment = text.parse::<Timestamp>().ok().or_else(date).map(Expiry::At);
    moment
        .or_else(|| FRIENDLY.parse_span(text).ok().filter(|span| span.is_positive()).map(Expiry::After))
        .ok_or_else(|| "expected a time such as 90d, 12h, 2027-01-31 or 2027-01-31T12:00:00Z".to_owned())
}

fn name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it must not be empty".to_owned()),
        _ if text.contains(char::is_control) => Err("it must not hold control characters".to_owned()),
        told if told.eq_ignore_ascii_case(SERVICE) => {
            Err(format!("{SERVICE:?} is the name of the service itself in every event; choose another"))
        }
        _ => Ok(text.to_owned()),
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|_| {
        let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

pub(super) async fn run(setting: &Setting, action: Action) -> anyhow::Result<ExitCode> {
    let settings = setting.settings()?;
    let (database, store) = setting.database(&settings).await?;
    let done = done(setting, &settings, &store, action).await;
    store.close().await;
    database.stop().await?;
    done.map(|()| ExitCode::SUCCESS)
}

async fn done(setting: &Setting, settings: &Settings, store: &Store, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Create(args) => create(setting, settings, store, args).await,
        Action::List { json } => list(&store.list_keys().await?, json),
        Action::Revoke { id } => {
            ensure!(store.revoke_key(id).await?, "no key in force has the id {id}; `keys list` shows all");
            output::line("revoked")
        }
    }
}

async fn create(
    setting: &Setting,
    settings: &Settings,
    store: &Store,
    args: CreateArgs,
) -> anyhow::Result<()> {
    let CreateArgs { name, mut scopes, orgs, expires } = args;
    let expires_at = expires.map(|expiry| expiry.moment((setting.world.clock())())).transpose()?;
    scopes.sort_unstable();
    scopes.dedup();
    if !orgs.is_empty() {
        let mut known = store.known_orgs().await?;
        known.extend(settings.orgs.keys().cloned());
        known.sort_unstable();
        known.dedup();
        for org in &orgs {
            ensure!(
                known.contains(org),
                "--org {org}: neither the settings nor the database know this org; they know {}",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            );
        }
    }
    let key = format_key(&setting.world.random_bytes());
    let reach = if orgs.is_empty() { Reach::all() } else { Reach::of(orgs) };
    let caller = Caller { name, scopes, reach };
    let made = store.create_named_key(&key, &caller, expires_at).await?;
    made.with_context(|| {
        format!(
            "a key in force has the name {:?}; choose another, or revoke that one first (`keys list` shows its id)",
            caller.name
        )
    })?;
    output::line(key)
}

fn list(keys: &[KeyRow], json: bool) -> anyhow::Result<()> {
    if json {
        return keys.iter().try_for_each(|key| output::line(as_json(key)));
    }
    let rows: Vec<_> = keys.iter().map(row).collect();
    if rows.is_empty() {
        output::note("none");
        return Ok(());
    }
    let heads = &["id", "key", "name", "scopes", "orgs", "created", "last used", "state"];
    output::write(Table::new(heads, rows).rendered(width()))
}

/// When nobody knows when.
fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}"))
}

/// `in force`, perhaps until when; or since when it is not.
fn state(key: &KeyRow) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at:.0}"),
        (None, Some(at)) if key.is_in_force => format!("in force until {at:.0}"),
        (None, Some(at)) => format!("expired {at:.0}"),
        (None, None) => "in force".to_owned(),
    }
}

fn row(key: &KeyRow) -> Vec<String> {
    let scopes: Vec<&str> = key.caller.scopes.iter().map(|scope| scope.as_str()).collect();
    vec![
        key.id.to_string(),
        format!("{}...", key.prefix),
        key.caller.name.clone(),
        scopes.join(","),
        key.caller.reach.orgs().map_or_else(|| "every org".to_owned(), |orgs| orgs.join(",")),
        time(Some(key.created_at)),
        time(key.last_used_at),
        state(key),
    ]
}

fn as_json(key: &KeyRow) -> serde_json::Value {
    json!({
        "id": key.id, "prefix": key.prefix, "name": key.caller.name, "scopes": key.caller.scopes,
        "orgs": key.caller.reach.orgs(), "createdAt": key.created_at, "lastUsedAt": key.last_used_at,
        "expiresAt": key.expires_at, "revokedAt": key.revoked_at, "inForce": key.is_in_force,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_ends_at_a_time_to_come_however_it_is_written() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("90d", Some("2027-02-28T12:00:00Z")),
            ("12h", Some("2026-12-01T00:00:00Z")),
            ("1 year", Some("2027-11-30T12:00:00Z")),
            ("2027-01-31", Some("2027-01-31T00:00:00Z")),
            ("2027-01-31T12:00:00+01:00", Some("2027-01-31T11:00:00Z")),
            ("2026-11-30", None),
            ("2020-01-01T00:00:00Z", None),
            ("0d", None),
            ("-1d", None),
            ("90", None),
            ("soon", None),
            ("99999 years", None),
        ] {
            let moment = expiry(text).ok().and_then(|expiry| expiry.moment(now).ok());
            assert_eq!(moment, expected.map(|expected| expected.parse().unwrap()), "{text}");
        }
    }
}
