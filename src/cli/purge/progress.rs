//! Shows how far it is, on standard error: a bar on a terminal, else a plain line where something changed.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::display::Purge;
use crate::cli::caller::width_of_notes;
use crate::cli::output;

/// Plain lines are at least so far apart.
const LINES_APART: Duration = Duration::from_secs(2);

/// Short enough for all that stands beside it on 80 columns.
const BAR: usize = 20;

/// On a terminal of fewer columns not all of it stands on one line.
const NARROW: usize = 72;

pub(super) enum Progress {
    Bar(ProgressBar),
    Lines {
        /// What was told last, and when.
        last: Option<(String, Instant)>,
    },
}

impl Progress {
    /// Whatever standard error is.
    pub(super) fn new() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
        } else {
            Self::Lines { last: None }
        }
    }

    /// Shows how much is uploaded; a log learns the end only.
    pub(super) fn uploading(&self, sent: u64, size: Option<u64>) {
        let Self::Bar(bar) = self else { return };
        let template = if size.is_some() {
            "uploading  {bar:32}  {bytes}/{total_bytes}  {bytes_per_sec}"
        } else {
            "uploading  {bytes}  {bytes_per_sec}"
        };
        style(bar, template);
        if let Some(size) = size {
            bar.set_length(size);
        }
        bar.set_position(sent);
    }

    /// Shows where the purge stands.
    pub(super) fn show(&mut self, purge: &Purge) {
        match self {
            Self::Bar(bar) => {
                style(bar, "{prefix}\n{wide_msg}");
                let bar_line =
                    format!("{}  {}  {}/{}", purge.state, drawn(purge), purge.done(), purge.total());
                // What does not fit beside it stands below.
                let is_narrow = width_of_notes().is_some_and(|width| width < NARROW);
                let apart = if is_narrow && !purge.pace().is_empty() { "\n" } else { "  " };
                bar.set_prefix([bar_line, purge.pace()].join(apart));
                let waits = purge.waits_for().map(|reason| format!("waits: {reason}"));
                bar.set_message(waits.unwrap_or_else(|| purge.outcomes()));
            }
            Self::Lines { last } => {
                let seen = seen(purge);
                let is_due =
                    last.as_ref().is_none_or(|(told, at)| *told != seen && at.elapsed() >= LINES_APART);
                if is_due || purge.is_final() {
                    output::note(joined([seen.clone(), purge.pace()]));
                    *last = Some((seen, Instant::now()));
                }
            }
        }
    }

    /// Says something beside the progress.
    pub(super) fn note(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| output::note(text)),
            Self::Lines { .. } => output::note(text),
        }
    }

    /// Takes the bar away: what comes next stands in its place.
    pub(super) fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// `[=====>    ]`
fn drawn(purge: &Purge) -> String {
    let share = purge.done().saturating_mul(BAR as u64) / purge.total().max(1);
    let filled = usize::try_from(share).unwrap_or(BAR).min(BAR);
    let head = if filled < BAR { ">" } else { "" };
    format!("[{:BAR$}]", format!("{}{head}", "=".repeat(filled)))
}

fn style(bar: &ProgressBar, template: &str) {
    // A constant: it can be read.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

/// What must change for a further line: the pace alone always does.
fn seen(purge: &Purge) -> String {
    let waits = purge.waits_for().map(|reason| format!("waits: {reason}")).unwrap_or_default();
    joined([format!("{} {}/{}", purge.state, purge.done(), purge.total()), purge.outcomes(), waits])
}

fn joined<const N: usize>(parts: [String; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}
