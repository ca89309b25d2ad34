//! Rows to fields: `csv-core` finds where fields end; this counts lines and detects what `csv-core` does not report.
//!
//! Invariant: one field is held at a time, and of a field at most the longest allowed line.

use std::fmt;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use super::super::IntakeError;
use super::super::lines::LineCount;

/// One field of a row.
#[derive(Debug)]
pub(super) struct Field<'a> {
    /// What it holds, without quotes; none if it is longer than the longest allowed line.
    pub(super) text: Option<&'a [u8]>,
    /// Whether it is the last of its row.
    pub(super) ends_row: bool,
    /// The line that it begins on.
    pub(super) line: u64,
    /// Whether an LF stands between its row and the one before.
    pub(super) after_lf: bool,
    /// The line that it ends on.
    pub(super) last_line: u64,
    /// What other readers take for something else.
    pub(super) fault: Option<QuoteFault>,
    quoted: bool,
}

/// A quote that readers of CSV take in different ways: they find different columns, and different rows, behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuoteFault {
    /// Text stands behind the closing quote, which is on this line: a quote that was meant to open may have closed.
    TextAfter(u64),
    /// Blanks stand before the opening quote: it opens nothing here, but may be meant to.
    BlanksBefore,
}

impl Field<'_> {
    /// Whether a line that holds this field alone looks empty. Quotes are a field's value, if an empty one.
    pub(super) fn is_blank(&self) -> bool {
        !self.quoted && self.text.is_some_and(|text| text.trim_ascii().is_empty())
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
    fault: Option<QuoteFault>,
    /// Whether an LF was passed since the last row.
    after_lf: bool,
    at: At,
}

/// Where the text is at, as far as `csv-core` doesn't tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    RowBegin,
    FieldBegin,
    /// In the blanks with which a field begins.
    Blanks,
    /// In a field that never had quotes around it, or behind them.
    Plain,
    Quoted,
    /// Behind a quote that closes the field, or is the first half of a doubled one.
    QuoteSeen,
    /// In blanks behind the closing quote.
    Closed,
}

impl Fields {
    pub(super) fn new(delimiter: u8, max_line: usize) -> Self {
        let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
        // At its very beginning it would skip a byte-order mark, which was taken off already: a second one is text.
        reader.read_field(b"\n", &mut [0]);
        Self {
            reader,
            buffer: vec![0; max_line.saturating_add(1)],
            filled: 0,
            too_long: false,
            lines: LineCount::new(),
            line: 1,
            quoted: false,
            fault: None,
            after_lf: false,
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
                self.begin_field(Some(first));
            }
            let (result, read, written) = self.reader.read_field(input, &mut self.buffer[self.filled..]);
            let (done, rest) = input.split_at(read);
            *input = rest;
            self.filled += written;
            if let (ReadFieldResult::Field { record_end }, [field @ .., end]) = (result, done) {
                self.note(field);
                return Ok(Some(self.end_field(record_end, Some(*end))));
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
                    self.begin_field(None);
                }
                Ok(Some(self.end_field(true, None)))
            }
            _ => Ok(None),
        }
    }

    fn skip_blank_lines(&mut self, input: &mut &[u8]) {
        while let Some((&byte @ (b'\r' | b'\n'), rest)) = input.split_first() {
            self.pass_line_end(byte);
            *input = rest;
        }
    }

    fn pass_line_end(&mut self, byte: u8) {
        self.lines.pass(byte);
        self.after_lf |= byte == b'\n';
    }

    fn begin_field(&mut self, first: Option<u8>) {
        self.line = self.lines.line();
        self.quoted = first == Some(b'"');
        self.fault = None;
        self.at = At::FieldBegin;
    }

    /// Follows quotes and lines through bytes of a field, without the one that ends it.
    fn note(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.at = match (self.at, byte) {
                (At::Quoted, b'"') => At::QuoteSeen,
                (At::FieldBegin | At::QuoteSeen, b'"') | (At::Quoted, _) => At::Quoted,
                (At::FieldBegin | At::Blanks, b' ' | b'\t') => At::Blanks,
                (At::QuoteSeen | At::Closed, b' ' | b'\t') => At::Closed,
                (At::Blanks, b'"') => self.plain_after(QuoteFault::BlanksBefore),
                (At::QuoteSeen | At::Closed, _) => self.plain_after(QuoteFault::TextAfter(self.lines.line())),
                (At::RowBegin | At::FieldBegin | At::Blanks | At::Plain, _) => At::Plain,
            };
            self.lines.pass(byte);
            // No line ends within what is left of a plain field, and no quote means anything there.
            if self.at == At::Plain {
                break;
            }
        }
    }

    fn plain_after(&mut self, fault: QuoteFault) -> At {
        self.fault = Some(fault);
        At::Plain
    }

    fn overflow(&mut self) -> Result<(), IntakeError> {
        if self.at == At::Quoted {
            return Err(IntakeError::UnclosedQuote { line: self.line });
        }
        self.filled = 0;
        self.too_long = true;
        Ok(())
    }

    /// `end` is the byte behind the field, if there is one.
    fn end_field(&mut self, ends_row: bool, end: Option<u8>) -> Field<'_> {
        self.at = if ends_row { At::RowBegin } else { At::FieldBegin };
        let last_line = self.lines.line();
        let after_lf = self.after_lf;
        if ends_row {
            self.after_lf = false;
            if let Some(end) = end {
                self.pass_line_end(end);
            }
        }
        let length = std::mem::take(&mut self.filled);
        let too_long = std::mem::take(&mut self.too_long);
        Field {
            text: (!too_long).then(|| &self.buffer[..length]),
            ends_row,
            line: self.line,
            after_lf,
            last_line,
            fault: self.fault,
            quoted: self.quoted,
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields").field("lines", &self.lines).field("at", &self.at).finish_non_exhaustive()
    }
}
