//! `doctor`: everything that can be wrong before somebody waits for it, each with how to mend it.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use super::output;
use super::setting::Setting;
use crate::app::doctor::{Finding, Practice, Verdict, examine};

/// Wide enough for most, narrow enough for every terminal.
const WIDTH: usize = 80;
/// Where what was seen begins: behind the verdict and the longest name of a check.
const INDENT: usize = 30;
/// The longest name of a check of an org with the usual name.
const NAME: usize = 22;
/// `-> `
const ARROW: usize = 3;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Do not call Genesys or the receiver of webhooks.
    #[arg(long)]
    offline: bool,
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(setting: &Setting, args: Args) -> anyhow::Result<ExitCode> {
    let practice = Practice {
        sources: &setting.sources,
        data_dir: &setting.data_dir,
        world: &setting.world,
        is_offline: args.offline,
    };
    let findings = examine(&practice).await;
    let has_failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    if args.json {
        output::line(serde_json::json!({ "ok": !has_failed, "findings": findings }))?;
    } else {
        let is_terminal = std::io::stdout().is_terminal();
        let is_coloured = is_terminal && !setting.environment.wants_no_color();
        for finding in &findings {
            output::line(told(finding, is_terminal, is_coloured))?;
        }
        output::line(verdict(&findings))?;
    }
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One line, on a terminal folded; below it what to do.
fn told(finding: &Finding, is_folded: bool, is_coloured: bool) -> String {
    let (word, colour) = match finding.verdict {
        Verdict::Ok => ("ok", "32"),
        Verdict::Warn => ("warn", "33"),
        Verdict::Fail => ("FAIL", "1;31"),
        Verdict::Skipped => ("skip", "2"),
    };
    let name = match &finding.org {
        Some(org) => format!("{org}: {}", finding.check),
        None => finding.check.to_owned(),
    };
    let word = format!("{word:<4}");
    let word = if is_coloured { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word };
    let beyond = name.chars().count().saturating_sub(NAME);
    let seen = format!("{word}  {name:<NAME$}  {}", folded(&finding.detail, is_folded, beyond));
    match &finding.remedy {
        Some(remedy) => format!("{seen}\n{:INDENT$}-> {}", "", folded(remedy, is_folded, ARROW)),
        None => seen,
    }
}

/// Breaks between words where the next would not fit; of the first line so much is taken.
fn folded(text: &str, is_folded: bool, taken: usize) -> String {
    if !is_folded {
        return text.to_owned();
    }
    let (mut lines, mut width) = (String::new(), taken);
    for word in text.split(' ') {
        let length = word.chars().count();
        if !lines.is_empty() && width + 1 + length > WIDTH - INDENT {
            lines.push('\n');
            lines.push_str(&" ".repeat(INDENT));
            width = 0;
        } else if !lines.is_empty() {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines
}

fn verdict(findings: &[Finding]) -> String {
    let number = |verdict: Verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let parts =
        [(Verdict::Fail, "failed"), (Verdict::Warn, "to look at"), (Verdict::Skipped, "not looked at")]
            .map(|(verdict, words)| (number(verdict), words));
    let told: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, words)| format!("{number} {words}"))
        .collect();
    if told.is_empty() {
        format!("{} checks, all well", findings.len())
    } else {
        format!("{} checks: {}", findings.len(), told.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_folded_to_the_terminal_and_left_whole_elsewhere() {
        let finding = Finding {
            check: "token",
            org: Some("default".to_owned()),
            verdict: Verdict::Fail,
            detail: "word ".repeat(30).trim().to_owned(),
            remedy: Some("check it".to_owned()),
        };
        let folded = told(&finding, true, false);
        assert!(folded.lines().count() > 3 && folded.lines().all(|line| line.len() <= WIDTH), "{folded}");
        assert!(folded.starts_with("FAIL  default: token          word"), "{folded}");
        let whole = told(&finding, false, false);
        assert_eq!(whole.lines().count(), 2, "{whole}");
        assert!(
            !whole.contains('\u{1b}') && told(&finding, true, true).contains("\u{1b}[1;31mFAIL\u{1b}[0m")
        );
    }
}
