//! Rows to fields: `csv-core` tells where fields end, and this counts lines and sees what it doesn't tell.
//!
//! Invariant: one field is held at a time, and of a field at most the longest allowed line.

use std::fmt;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use super::super::IntakeError;
use super::super::lines::LineCount;

/// One field of a row.
#[derive(Debug)]
pub(super) struct Field<'a> {
    /// What it holds, without quotes; nothing where it is too long.
    pub(super) text: &'a [u8],
    /// Whether it is longer than the longest allowed line.
    pub(super) too_long: bool,
    /// Whether it is the last of its row.
    pub(super) ends_row: bool,
    /// The line that it begins on.
    pub(super) line: u64,
    quoted: bool,
}

impl Field<'_> {
    /// Whether a line that holds this field alone looks empty. Quotes are a field's value, if an empty one.
    pub(super) fn is_blank(&self) -> bool {
        !self.quoted && !self.too_long && self.text.trim_ascii().is_empty()
    }
}

/// Cuts bytes into fields.
pub(super) struct Fields {
    reader: Reader,
    /// Room for the longest field and one byte, so that only a longer one fills it.
    buffer: Vec<u8>,
    filled: usize,
    too_long: bool,
    lines: LineCount,
    /// The line that the current field begins on.
    line: u64,
    quoted: bool,
    at: At,
}

/// Where the text is at, as far as `csv-core` doesn't tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    RowBegin,
    FieldBegin,
    /// In a field that never had quotes around it, or behind them.
    Plain,
    Quoted,
    /// Behind a quote that closes the field, or is the first half of a doubled one.
    QuoteSeen,
}

impl Fields {
    pub(super) fn new(delimiter: u8, max_line: usize) -> Self {
        Self {
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            buffer: vec![0; max_line.saturating_add(1)],
            filled: 0,
            too_long: false,
            lines: LineCount::new(),
            line: 1,
            quoted: false,
            at: At::RowBegin,
        }
    }

    /// The next field; none where the input ends within it. Takes what it read off the input.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Field<'_>>, IntakeError> {
        if self.at == At::RowBegin {
            self.skip_blank_lines(input);
        }
        while let Some(&first) = input.first() {
            if matches!(self.at, At::RowBegin | At::FieldBegin) {
                self.line = self.lines.line();
                self.quoted = first == b'"';
                self.at = At::FieldBegin;
            }
            let (result, read, written) = self.reader.read_field(input, &mut self.buffer[self.filled..]);
            let (done, rest) = input.split_at(read);
            *input = rest;
            self.filled += written;
            if let (ReadFieldResult::Field { record_end }, [field @ .., end]) = (result, done) {
                self.note(field);
                if record_end {
                    self.lines.pass(*end);
                }
                return Ok(Some(self.end_field(record_end)));
            }
            self.note(done);
            if self.filled == self.buffer.len() {
                self.overflow()?;
            }
        }
        Ok(None)
    }

    /// The field that the end of the upload ends.
    pub(super) fn finish(&mut self) -> Result<Option<Field<'_>>, IntakeError> {
        let (result, _, _) = self.reader.read_field(&[], &mut []);
        match (self.at, result) {
            (At::Quoted, _) => Err(IntakeError::UnclosedQuote { line: self.line }),
            (_, ReadFieldResult::Field { .. }) => {
                if matches!(self.at, At::FieldBegin) {
                    self.line = self.lines.line();
                    self.quoted = false;
                }
                Ok(Some(self.end_field(true)))
            }
            _ => Ok(None),
        }
    }

    fn skip_blank_lines(&mut self, input: &mut &[u8]) {
        while let Some((&byte @ (b'\r' | b'\n'), rest)) = input.split_first() {
            self.lines.pass(byte);
            *input = rest;
        }
    }

    /// Follows quotes and lines through bytes of a field, without the one that ends it.
    fn note(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.at = match (self.at, byte) {
                (At::Quoted, b'"') => At::QuoteSeen,
                (At::FieldBegin | At::QuoteSeen, b'"') | (At::Quoted, _) => At::Quoted,
                _ => At::Plain,
            };
            self.lines.pass(byte);
            // No line ends within what is left of a plain field, and no quote means anything there.
            if self.at == At::Plain {
                break;
            }
        }
    }

    fn overflow(&mut self) -> Result<(), IntakeError> {
        if self.at == At::Quoted {
            return Err(IntakeError::UnclosedQuote { line: self.line });
        }
        self.filled = 0;
        self.too_long = true;
        Ok(())
    }

    fn end_field(&mut self, ends_row: bool) -> Field<'_> {
        self.at = if ends_row { At::RowBegin } else { At::FieldBegin };
        let length = std::mem::take(&mut self.filled);
        let too_long = std::mem::take(&mut self.too_long);
        Field {
            text: if too_long { &[] } else { &self.buffer[..length] },
            too_long,
            ends_row,
            line: self.line,
            quoted: self.quoted,
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields").field("lines", &self.lines).field("at", &self.at).finish_non_exhaustive()
    }
}
