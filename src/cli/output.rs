//! Writes to standard output; a reader that has gone (`| head`) ends the command quietly.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// Writes a line.
pub(super) fn line(text: impl Display) -> anyhow::Result<()> {
    write(format_args!("{text}\n"))
}

/// Writes text as it is.
pub(super) fn write(text: impl Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

/// Tells a person something beside the result: a line on standard error.
pub(super) fn note(text: impl Display) {
    // Nowhere is left to tell it where standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Says what went wrong, in one line, and fails.
pub(super) fn fail(error: &anyhow::Error) -> ExitCode {
    // Nowhere is left to complain to where standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
    ExitCode::FAILURE
}
