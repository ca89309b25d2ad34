//! The first line of a CSV upload, kept until it is complete, since the rest can't be read without it.
//!
//! Invariant: no more than the longest allowed line is kept.

use super::super::lines::{BYTE_ORDER_MARK, LineCount, without_mark};
use super::super::{BadLine, IntakeError};

/// What may stand between columns; the first where nothing does.
pub(super) const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// Everything from the beginning of the upload to the end of the first line that is not blank.
#[derive(Debug)]
pub(super) struct Head {
    max_line: usize,
    bytes: Vec<u8>,
    lines: LineCount,
    at: At,
    is_blank: bool,
}

/// Where the text is at, as far as that matters for quotes and line breaks.
#[derive(Debug, Clone, Copy)]
enum At {
    FieldBegin,
    Plain,
    /// Within quotes that opened on this line.
    Quoted(u64),
    /// Behind a quote that closes the field, or is the first half of a doubled one.
    QuoteSeen(u64),
}

impl Head {
    pub(super) fn new(max_line: usize) -> Self {
        Self { max_line, bytes: Vec::new(), lines: LineCount::new(), at: At::FieldBegin, is_blank: true }
    }

    /// Takes the bytes up to the end of the first line, and returns those behind it; none while it goes on.
    pub(super) fn take<'a>(&mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, IntakeError> {
        for (read, &byte) in input.iter().enumerate() {
            if self.bytes.len() > self.max_line {
                return Err(self.too_long());
            }
            let ended = self.step(byte);
            self.lines.pass(byte);
            self.bytes.push(byte);
            if ended {
                return Ok(Some(&input[read + 1..]));
            }
        }
        Ok(None)
    }

    /// What was taken, blank lines included, without a byte-order mark.
    pub(super) fn text(&self) -> Result<&[u8], IntakeError> {
        let text = without_mark(&self.bytes)?;
        match self.at {
            At::Quoted(line) => Err(IntakeError::UnclosedQuote { line }),
            _ => Ok(text),
        }
    }

    /// Whether only blank lines were taken.
    pub(super) fn is_blank(&self) -> bool {
        self.is_blank
    }

    /// Whether this byte ends the first line that is not blank.
    fn step(&mut self, byte: u8) -> bool {
        if let At::Quoted(line) = self.at {
            if byte == b'"' {
                self.at = At::QuoteSeen(line);
            }
            return false;
        }
        if BYTE_ORDER_MARK.get(self.bytes.len()) == Some(&byte) {
            return false;
        }
        let ends_line = matches!(byte, b'\r' | b'\n');
        self.is_blank &= ends_line || byte == b' ';
        self.at = match (byte, self.at) {
            (b'\r' | b'\n', _) => At::FieldBegin,
            (delimiter, _) if DELIMITERS.contains(&delimiter) => At::FieldBegin,
            (b'"', At::FieldBegin) => At::Quoted(self.lines.line()),
            (b'"', At::QuoteSeen(line)) => At::Quoted(line),
            _ => At::Plain,
        };
        ends_line && !self.is_blank
    }

    fn too_long(&self) -> IntakeError {
        let detail =
            format!("the first line does not end within {} bytes; send one row a line", self.max_line);
        let line = BadLine { line: self.lines.line(), detail };
        self.text().err().unwrap_or_else(|| IntakeError::BadLines { lines: vec![line], more: true })
    }
}
