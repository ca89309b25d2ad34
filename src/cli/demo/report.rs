//! Says what came out, and whether it equals the truth.

use std::collections::BTreeMap;
use std::time::Duration;

use super::caller::{Caller, Submitted};
use super::stage::{FULL_JOB, Stage};
use crate::cli::output;
use crate::sandbox::{Call, Sandbox};

/// Prints the result; true where everything is as it must be.
pub(super) async fn print(
    stage: &Stage,
    caller: &Caller,
    purges: &[Submitted],
    took: Duration,
) -> anyhow::Result<bool> {
    let outcomes = outcomes(purges)?;
    let webhooks = webhooks(stage, purges)?;
    let upstream = upstream(stage)?;
    fullness(caller, purges).await?;
    if let Some(purge) = purges.first()
        && let Some(conversation) = caller.find(purge.id, "purged").await?
    {
        output::line(format_args!(
            "\nThe whole history of one conversation:  {}/conversations/{conversation}",
            stage.url
        ))?;
    }
    let lawful = if upstream { "No rule of upstream was broken." } else { "Rules of upstream were BROKEN." };
    output::line(lawful)?;
    let is_true = outcomes && webhooks && upstream;
    let verdict = if is_true { "The result equals the truth." } else { "The result DIFFERS from the truth." };
    output::line(format_args!(
        "\n{verdict}  {:.1} s from the first request to the last outcome.",
        took.as_secs_f64()
    ))?;
    Ok(is_true)
}

fn outcomes(purges: &[Submitted]) -> anyhow::Result<bool> {
    let mut is_true = true;
    output::line(format_args!(
        "\n{:<24}{:<12}{:<16}{:>8}{:>10}",
        "purge", "state", "outcome", "count", "expected"
    ))?;
    for purge in purges {
        let Some(last) = &purge.last else { continue };
        is_true &= last.state == "completed";
        let mut rows: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (outcome, expected) in &purge.expected {
            rows.entry(outcome).or_default().1 = *expected;
        }
        for (outcome, number) in &last.counts {
            if *number > 0 && !matches!(outcome.as_str(), "total" | "duplicates") {
                rows.entry(outcome).or_default().0 = *number;
            }
        }
        let (mut name, mut state) = (purge.name, last.state.as_str());
        for (outcome, (number, expected)) in rows {
            let mark = if number == expected { "" } else { "  <- differs" };
            is_true &= number == expected;
            output::line(format_args!("{name:<24}{state:<12}{outcome:<16}{number:>8}{expected:>10}{mark}"))?;
            (name, state) = ("", "");
        }
    }
    Ok(is_true)
}

/// One for each upstream job whose submit was answered, and one for each purge.
pub(super) fn expected_events(purges: &[Submitted], sandbox: &Sandbox) -> usize {
    let counts = sandbox.report(0, FULL_JOB).counts;
    let answered =
        counts.get(&Call::Submit).and_then(|endings| endings.get("200")).copied().unwrap_or_default();
    purges.len() + usize::try_from(answered).unwrap_or(usize::MAX)
}

fn webhooks(stage: &Stage, purges: &[Submitted]) -> anyhow::Result<bool> {
    let expected = expected_events(purges, stage.sandbox.sandbox());
    let (events, verified, forged) =
        stage.receiver.look(|received| (received.events.clone(), received.verified, received.forged));
    let told: Vec<String> = events.iter().map(|(event, number)| format!("{event} {number}")).collect();
    output::line(format_args!(
        "\nWebhooks   {} ({verified} signatures verified, {forged} forged)",
        told.join(", ")
    ))?;
    let received: usize = events.values().sum();
    if received != expected {
        output::line(format_args!(
            "           {received} events came, {expected} were expected  <- differs"
        ))?;
    }
    Ok(forged == 0 && received == expected)
}

/// Full jobs are what makes upstream fast; the small ones are the rest of the large purge, and halves around ids that
/// upstream refused without naming them.
async fn fullness(caller: &Caller, purges: &[Submitted]) -> anyhow::Result<()> {
    let Some(large) = purges.first() else { return Ok(()) };
    let sizes = caller.job_sizes(large.id).await?;
    let full: Vec<&u64> = sizes.iter().filter(|size| **size * 100 >= u64::from(FULL_JOB) * 98).collect();
    let in_full: u64 = full.iter().copied().sum();
    let share = in_full * 100 / sizes.iter().sum::<u64>().max(1);
    output::line(format_args!(
        "           {} of the {} that carried the large purge were at least 98 % full, with {share} % of its conversations",
        full.len(),
        sizes.len()
    ))
}

fn upstream(stage: &Stage) -> anyhow::Result<bool> {
    let report = stage.sandbox.sandbox().report(0, FULL_JOB);
    let jobs = report.jobs;
    for (call, endings) in &report.counts {
        let told: Vec<String> =
            endings.iter().map(|(ending, number)| format!("{ending} x {number}")).collect();
        output::line(format_args!(
            "Upstream   {:<8} {}",
            format!("{call:?}").to_lowercase(),
            told.join(", ")
        ))?;
    }
    output::line(format_args!(
        "Jobs       {} of {} to {} conversations, {:.0} on average; {} live at most",
        jobs.jobs, jobs.smallest, jobs.largest, jobs.mean, jobs.most_live
    ))?;
    for breach in report.breaches.iter().take(5) {
        output::line(format_args!("Breach     {:?}: {}", breach.rule, breach.evidence))?;
    }
    Ok(report.breaches.is_empty())
}
