//! Says what came out, and whether it equals the truth.

use std::collections::BTreeMap;
use std::time::Duration;

use super::caller::{Caller, Submitted};
use super::receiver;
use super::stage::{FULL_JOB, Stage};
use crate::cli::output;

/// Prints the result; true where everything is as it must be.
pub(super) async fn print(
    stage: &Stage,
    caller: &Caller,
    purges: &[Submitted],
    took: Duration,
) -> anyhow::Result<bool> {
    let outcomes = outcomes(purges)?;
    let (webhooks, upstream) = (webhooks(stage, purges)?, upstream(stage)?);
    if let Some(purge) = purges.first()
        && let Some(conversation) = caller.find(purge.id, "purged").await?
    {
        output::line(format_args!(
            "\nThe whole history of one conversation:  {}/conversations/{conversation}",
            stage.url
        ))?;
    }
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

fn webhooks(stage: &Stage, purges: &[Submitted]) -> anyhow::Result<bool> {
    let expected = receiver::expected(purges, stage.sandbox.sandbox());
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
    let breaches: u64 = report.breach_counts.values().sum();
    output::line(format_args!("Breaches   {breaches} of upstream's rules"))?;
    for breach in report.breaches.iter().take(5) {
        output::line(format_args!("           {:?}: {}", breach.rule, breach.evidence))?;
    }
    Ok(breaches == 0)
}
