//! What the formats have in common: the sink of a parser, and the start of a text.
//!
//! Invariant: a parser keeps nothing that it has passed on.

use uuid::Uuid;

use super::IntakeError;

/// Takes what a parser finds, in the order of the upload. An error ends the parsing.
pub(super) trait Sink {
    /// The next id.
    fn id(&mut self, id: Uuid) -> Result<(), IntakeError>;
    /// A line that holds none, and why.
    fn bad(&mut self, line: u64, detail: String) -> Result<(), IntakeError>;
}

/// The mark with which many tools begin UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text behind the byte-order mark, if there is one, of an upload that begins with `head`.
///
/// UTF-16 is known by its own marks, and without one by the NUL that half of each character of plain English is.
pub(super) fn without_mark(head: &[u8]) -> Result<&[u8], IntakeError> {
    match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => Err(IntakeError::Utf16),
        _ => Ok(head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head)),
    }
}

/// What to say of something that passes the limit.
pub(super) fn too_long(what: &str, limit: usize) -> String {
    format!("{what} is longer than {limit} bytes; send one id per line")
}

/// Counts lines that end with LF, CRLF or CR.
#[derive(Debug)]
pub(super) struct LineCount {
    line: u64,
    after_cr: bool,
}

impl LineCount {
    pub(super) fn new() -> Self {
        Self { line: 1, after_cr: false }
    }

    /// The line that the next byte is on, but for an LF that belongs to a CR before it.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Notes the next byte. Bytes that end no line need not be noted, but for one behind each CR.
    pub(super) fn pass(&mut self, byte: u8) {
        let ends_line = byte == b'\r' || (byte == b'\n' && !self.after_cr);
        self.line += u64::from(ends_line);
        self.after_cr = byte == b'\r';
    }
}
