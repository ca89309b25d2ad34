//! `conversation`: everything that the service ever did about one conversation.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;
use uuid::Uuid;

use super::caller::{Fields, One, Service, Trouble, ended, moment, text, width};
use super::output;
use super::setting::Setting;

/// A conversation.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The id of the conversation.
    id: Uuid,
}

pub(super) async fn run(setting: &Setting, args: &One<Which>) -> anyhow::Result<ExitCode> {
    ended(told(setting, args).await)
}

async fn told(setting: &Setting, args: &One<Which>) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let path = format!("/conversations/{}", args.which.id);
    let mut cursor: Option<String> = None;
    loop {
        let query: Vec<_> = cursor.map(|cursor| ("cursor", cursor)).into_iter().collect();
        let page = service.get(&path, &query).await?;
        if args.json {
            output::line(&page)?;
        } else {
            output::write(shown(&page))?;
        }
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn shown(page: &Value) -> String {
    let list = |name: &str| page[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut shown = String::new();
    for purge in list("purges") {
        let mut fields = Fields::default();
        fields.add("purge", text(purge, "/purgeId"));
        fields.add("outcome", text(purge, "/outcome"));
        fields.add("org", text(purge, "/org"));
        fields
            .add("accepted", format!("{} by {}", moment(purge, "/acceptedAt"), text(purge, "/requestedBy")));
        for decision in purge["decisions"].as_array().into_iter().flatten() {
            fields.add("decision", self::decision(decision));
        }
        let _ = writeln!(shown, "{}", fields.rendered(width()));
    }
    for hold in list("holds") {
        let mut fields = Fields::default();
        fields.add("hold", text(hold, "/id"));
        fields.add("matter", text(hold, "/matter"));
        fields.add("orgs", text(hold, "/orgs"));
        fields.add("created", format!("{} by {}", moment(hold, "/createdAt"), text(hold, "/createdBy")));
        if hold["active"] != true {
            let released = format!("{} by {}", moment(hold, "/releasedAt"), text(hold, "/releasedBy"));
            fields.add("released", released);
        }
        let _ = writeln!(shown, "{}", fields.rendered(width()));
    }
    shown.truncate(shown.trim_end().len());
    if !shown.is_empty() {
        shown.push('\n');
    }
    shown
}

/// `2026-11-30T21:00:00Z pending -> on_hold: legal_hold, ... (job 5f0c...)`
fn decision(decision: &Value) -> String {
    let mut told =
        format!("{} {} -> {}", moment(decision, "/at"), text(decision, "/from"), text(decision, "/to"));
    let why = [text(decision, "/code"), text(decision, "/detail")];
    let to = text(decision, "/to");
    let why: Vec<String> = why.into_iter().filter(|why| *why != "-" && *why != to).collect();
    if !why.is_empty() {
        let _ = write!(told, ": {}", why.join(", "));
    }
    let job = text(decision, "/jobId");
    if job != "-" {
        let _ = write!(told, " (job {job})");
    }
    told
}
