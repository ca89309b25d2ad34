//! Keys, orgs, jobs and deliveries in the database.

use super::asked;
use super::database::Connected;
use super::finding::Finding;
use crate::app::deliveries::MANY;
use crate::app::promotion;
use crate::config::Settings;
use crate::domain::rewind::{History, Promotion};
use crate::store::keys::KeyRow;
use crate::store::views::condition::OrgCondition;

pub(super) async fn examine(settings: &Settings, connected: &Connected) -> Vec<Finding> {
    if !connected.is_current {
        return vec![Finding::skipped(
            "records",
            "keys, orgs, jobs and deliveries: the schema is not current",
        )];
    }
    let store = &connected.store;
    let mut findings =
        vec![asked("keys", store.list_keys()).await.map_or_else(|failed| failed, |rows| keys(&rows))];
    findings.push(
        asked("history", store.look_at_ground(promotion(settings)))
            .await
            .map_or_else(|failed| failed, history),
    );
    if promotion(settings) == Promotion::Lossless {
        let standbys = asked("standbys", store.has_synchronous_standbys()).await;
        findings.push(standbys.map_or_else(|failed| failed, lossless));
    }
    findings.extend(connected.orgs.iter().flat_map(|org| org_findings(settings, org)));
    let dead = asked("deliveries", store.dead_deliveries(MANY)).await;
    findings.push(dead.map_or_else(|failed| failed, deliveries));
    if settings.webhooks.url.is_none() {
        let waiting = asked("waiting deliveries", store.waiting_deliveries(MANY)).await;
        findings.extend(waiting.map_or_else(Some, waiting_for_a_receiver));
    }
    findings
}

fn keys(rows: &[KeyRow]) -> Finding {
    let remedy = "genesys-purge keys create --name NAME --scope purges:read --scope purges:write";
    match rows.iter().filter(|row| row.is_in_force).count() {
        0 => Finding::warn("keys", "no API key is in force: nobody can submit a purge", remedy),
        1 => Finding::ok("keys", "1 API key is in force"),
        number => Finding::ok("keys", format_args!("{number} API keys are in force")),
    }
}

fn history(history: History) -> Finding {
    match history {
        History::Whole => Finding::ok("history", "the database is the one that it was"),
        History::Promoted => {
            Finding::ok("history", "a standby was promoted; by database.promotion nothing is missing")
        }
        History::Rewound(kind) => Finding::warn(
            "history",
            format_args!("{}: a service that starts on it stops every org", kind.says()),
            "docs/operations.md, \"After a restore or a promotion\"",
        ),
    }
}

fn lossless(has_synchronous_standbys: bool) -> Finding {
    if has_synchronous_standbys {
        return Finding::ok(
            "standbys",
            "commits wait for a standby, as database.promotion = \"lossless\" needs",
        );
    }
    Finding::warn(
        "standbys",
        "database.promotion is \"lossless\", but commits wait for no standby: one that is promoted may lack the last of them",
        "set synchronous_standby_names of the server, or database.promotion = \"check\"",
    )
}

fn org_findings(settings: &Settings, org: &OrgCondition) -> Vec<Finding> {
    let name = org.name.as_str();
    let mut findings = Vec::new();
    if let Some((code, detail, since)) = &org.blocked {
        let remedy = "docs/operations.md, \"A blocked org\"; a try is made each minute, and one that succeeds lifts it";
        findings.push(Finding::warn(
            "org",
            format_args!("blocked since {since:.0} ({code}): {detail}"),
            remedy,
        ));
    }
    if let Some((since, by, reason)) = &org.stopped {
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let remedy = format!("POST /orgs/{name}/resume lets it go on");
        findings.push(Finding::warn("org", format_args!("stopped since {since:.0} by {by}{reason}"), remedy));
    }
    if let Some(since) = org.paused_since {
        let remedy = "set engine.paused to false and restart the workers";
        findings.push(Finding::warn(
            "org",
            format_args!("paused since {since:.0}: every process that works for it has engine.paused = true"),
            remedy,
        ));
    }
    if !settings.orgs.contains_key(name) {
        let detail = "the database knows it, the configuration does not: its purges wait";
        findings.push(Finding::warn("org", detail, format_args!("write a section [orgs.{name}]")));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("org", "neither blocked, stopped nor paused"));
    }
    if org.in_doubt > 0 {
        let detail = format!("{} whose submit got no answer", org.in_doubt);
        let remedy = "nothing: the service looks what became of them once engine.ambiguity_grace has passed";
        findings.push(Finding::warn("jobs in doubt", detail, remedy));
    }
    if let Some(purge) = org.parked_of {
        let detail = format!("{} can't be read and wait for a repair, of purge {purge} for one", org.parked);
        let remedy = "docs/operations.md, \"Parked slices\"";
        findings.push(Finding::warn("parked slices", detail, remedy));
    }
    findings.into_iter().map(|finding| finding.of(name)).collect()
}

/// What an earlier configuration owed, and nobody tries.
fn waiting_for_a_receiver(waiting: i64) -> Option<Finding> {
    let detail = format!("{} wait for a receiver, and none is configured", counted(waiting));
    let remedy = "set RETENTION_WEBHOOK_URL, and they are sent";
    (waiting > 0).then(|| Finding::warn("waiting deliveries", detail, remedy))
}

fn counted(number: i64) -> String {
    let at_least = if number == MANY { "at least " } else { "" };
    format!("{at_least}{number}")
}

fn deliveries(dead: i64) -> Finding {
    match dead {
        0 => Finding::ok("deliveries", "none was given up"),
        dead => {
            let what = if dead == 1 { "webhook delivery was" } else { "webhook deliveries were" };
            let detail = format!("{} {what} given up", counted(dead));
            let remedy = "genesys-purge webhooks list --state dead; once the receiver is healthy: \
                          genesys-purge webhooks redeliver --failed-since TIME";
            Finding::warn("deliveries", detail, remedy)
        }
    }
}
