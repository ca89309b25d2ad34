//! Shows how far it is, on standard error: a bar on a terminal, else a plain line where something changed.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::display::Purge;
use crate::cli::output;

/// Plain lines are at least so far apart.
const LINES_APART: Duration = Duration::from_secs(2);

/// Whoever looks.
pub(super) enum Progress {
    /// A person.
    Bar(ProgressBar),
    /// A log.
    Lines {
        /// The last line, and when it was written.
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
                style(bar, "{prefix}  {bar:32}  {pos}/{len}\n{wide_msg}");
                bar.set_prefix(purge.state.clone());
                bar.set_length(purge.total());
                bar.set_position(purge.done());
                bar.set_message(purge.waits_for().map_or_else(
                    || {
                        [purge.outcomes(), purge.pace()]
                            .into_iter()
                            .filter(|text| !text.is_empty())
                            .collect::<Vec<_>>()
                            .join("; ")
                    },
                    |reason| format!("waits: {reason}"),
                ));
            }
            Self::Lines { last } => {
                let line = line(purge);
                let is_due =
                    last.as_ref().is_none_or(|(told, at)| *told != line && at.elapsed() >= LINES_APART);
                if is_due || purge.is_final() {
                    output::note(&line);
                    *last = Some((line, Instant::now()));
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

fn style(bar: &ProgressBar, template: &str) {
    // A constant: it can be read.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

fn line(purge: &Purge) -> String {
    let waits = purge.waits_for().map(|reason| format!("waits: {reason}")).unwrap_or_default();
    let parts = [
        format!("{} {}/{}", purge.state, purge.done(), purge.total()),
        purge.outcomes(),
        purge.pace(),
        waits,
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}
