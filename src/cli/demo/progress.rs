//! Shows how the outcomes fall, until every purge is final.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::ensure;
use indicatif::{ProgressBar, ProgressStyle};

use super::caller::{Caller, Purge, Submitted};
use super::stage::Stage;
use crate::cli::output;

const OUTCOMES: [&str; 7] =
    ["purged", "already_purged", "on_hold", "retained", "active", "not_found", "failed"];

/// What does not end by then will not end.
const LONGEST: Duration = Duration::from_hours(1);

pub(super) async fn watch(caller: &Caller, purges: &mut [Submitted], stage: &Stage) -> anyhow::Result<()> {
    let total: u64 = purges.iter().flat_map(|purge| purge.expected.values()).sum();
    let bar = ProgressBar::new(total);
    bar.set_style(ProgressStyle::with_template("{bar:32} {pos}/{len}  {elapsed}  {msg}")?);
    let is_terminal = std::io::stderr().is_terminal();
    let (began, mut told) = (Instant::now(), Instant::now());
    loop {
        let (mut settled, mut line) = (0, String::new());
        for purge in purges.iter_mut() {
            purge.last = Some(caller.read(purge.id).await?);
        }
        for outcome in OUTCOMES {
            let number: u64 =
                purges.iter().filter_map(|purge| purge.last.as_ref()).map(|purge| purge.count(outcome)).sum();
            settled += number;
            if number > 0 {
                let _ = write!(line, "{outcome} {number}  ");
            }
        }
        settled += purges
            .iter()
            .filter_map(|purge| purge.last.as_ref())
            .map(|purge| purge.count("would_purge"))
            .sum::<u64>();
        bar.set_position(settled);
        bar.set_message(line.clone());
        if !is_terminal && told.elapsed() > Duration::from_secs(2) {
            told = Instant::now();
            output::line(format_args!("{settled:>8}/{total}  {line}"))?;
        }
        if purges.iter().all(|purge| purge.last.as_ref().is_some_and(Purge::is_final)) {
            bar.finish_and_clear();
            return Ok(());
        }
        ensure!(began.elapsed() < LONGEST, "the purges did not end; {} keeps their state", stage.url);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
