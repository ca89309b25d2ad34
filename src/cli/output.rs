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
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
    ExitCode::FAILURE
}
