//! Writes to standard output; where its reader has gone (`| head`), the command goes on without, to its own exit code.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

pub(super) fn line(text: impl Display) -> anyhow::Result<()> {
    write(format_args!("{text}\n"))
}

/// Writes text as it is.
pub(super) fn write(text: impl Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        // An end here would say that all went well, whatever is still to come.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Tells a person something beside the result: a line on standard error.
pub(super) fn note(text: impl Display) {
    // Nowhere is left to tell it where standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Asks a person for something: text on standard error whose line goes on.
pub(super) fn prompt(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{text}").and_then(|()| err.flush());
}

/// Writes bytes as they are; false where their reader has gone.
pub(super) fn bytes(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => Ok(written.map(|()| true)?),
    }
}

/// Says what went wrong, in one line, and fails.
pub(super) fn fail(error: &anyhow::Error) -> ExitCode {
    // Nowhere is left to complain to where standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "error: {}", said_once(error));
    ExitCode::FAILURE
}

/// An error and its causes; what an error has said of its cause is not said again.
pub(super) fn said_once(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(cause.trim()) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("database, in start: {source}")]
    struct Outer {
        source: std::io::Error,
    }

    #[test]
    fn a_cause_that_was_told_is_not_told_again() {
        let outer = || Outer { source: std::io::Error::other("permission denied for table purges") };
        let told = "database, in start: permission denied for table purges";
        assert_eq!(said_once(&anyhow!(outer())), told);
        assert_eq!(said_once(&anyhow!(outer()).context("can't start")), format!("can't start: {told}"));
        assert_eq!(said_once(&anyhow!("one").context("two").context("three")), "three: two: one");
    }
}
