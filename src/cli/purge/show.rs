//! `purge show`: where it stands.

use std::process::ExitCode;

use serde_json::Value;

use super::Which;
use super::display::Purge;
use crate::cli::caller::{Fields, One, Service, Trouble, moment, plain, print, text, width};
use crate::cli::setting::Setting;

pub(super) async fn run(setting: &Setting, args: &One<Which>) -> Result<ExitCode, Trouble> {
    let service = Service::new(setting, &args.connection)?;
    let answer = service.purge(args.which.id).await?;
    let purge = Purge::read(&answer)?;
    print(&answer, args.json, |answer| shown(answer, &purge))?;
    Ok(ExitCode::SUCCESS)
}

fn shown(answer: &Value, purge: &Purge) -> String {
    let mut fields = Fields::default();
    fields.add("purge", purge.id.to_string());
    let dry = if purge.dry_run { ", dry run: nothing is deleted" } else { "" };
    let run = if answer["run"].as_u64().is_some_and(|run| run > 1) {
        format!(", run {}", text(answer, "/run"))
    } else {
        String::new()
    };
    fields.add("state", format!("{}{run}{dry}", purge.state));
    fields.add("waits", purge.waits_for().unwrap_or_default());
    fields.add("paused", text(answer, "/pausedReason/detail"));
    fields.add("org", text(answer, "/org"));
    fields.add("done", format!("{} of {}", purge.done(), purge.total()));
    fields.add("outcomes", purge.outcomes());
    fields.add("pace", purge.pace());
    fields.add("reason", text(answer, "/reason"));
    fields.add("reference", text(answer, "/reference"));
    fields.add("labels", labels(answer));
    fields.add("by", text(answer, "/requestedBy"));
    fields.add("created", moment(answer, "/createdAt"));
    fields.add("started", moment(answer, "/startedAt"));
    fields.add("finished", moment(answer, "/finishedAt"));
    fields.rendered(width())
}

fn labels(answer: &Value) -> String {
    let labels = answer["labels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key}:{}", value.as_str().unwrap_or_default()));
    plain(&labels.collect::<Vec<_>>().join(" "))
}
