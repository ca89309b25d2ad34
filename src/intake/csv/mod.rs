//! CSV to ids, as people's tools write it.
//!
//! Understood: a byte-order mark, LF, CRLF and CR, quotes, columns between `,`, `;` or tabs (told from the first line),
//! the id in any column, lines that are blank. Which column holds the ids is told by the header or, where there is
//! none, by the one id in the first row (see [`layout`]); a first row with an id is never taken for a header. What
//! stands between columns is told by the same: by it alone the first line makes sense.
//!
//! Tools that write CSV by hand leave out quotes, so that one text becomes two columns, or two rows. Then another id may
//! stand where the id belongs, and so every row must have the columns of the first line (see [`row`]).
//!
//! Invariant: no column is guessed. Where two could be meant, or none, the upload is refused.

mod fields;
mod head;
mod layout;
mod row;

use self::fields::Fields;
use self::head::Head;
use self::layout::Layout;
use self::row::{Row, RowEnds};
use super::IntakeError;
use super::lines::Sink;

/// Reads an upload of rows.
#[derive(Debug)]
pub(super) struct CsvParser {
    max_line: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The first line is not complete yet.
    Head(Head),
    Rows(Box<Rows>),
}

impl CsvParser {
    pub(super) fn new(max_line: usize) -> Self {
        Self { max_line, stage: Stage::Head(Head::new(max_line)) }
    }

    pub(super) fn feed(&mut self, input: &[u8], sink: &mut impl Sink) -> Result<(), IntakeError> {
        match &mut self.stage {
            Stage::Rows(rows) => rows.feed(input, sink),
            Stage::Head(head) => {
                let Some(rest) = head.take(input)? else { return Ok(()) };
                let mut rows = Rows::after(head, self.max_line, sink)?;
                rows.feed(rest, sink)?;
                self.stage = Stage::Rows(Box::new(rows));
                Ok(())
            }
        }
    }

    pub(super) fn finish(self, sink: &mut impl Sink) -> Result<(), IntakeError> {
        match self.stage {
            Stage::Rows(rows) => rows.finish(sink),
            Stage::Head(head) if head.is_blank() => {
                head.text()?;
                Ok(())
            }
            Stage::Head(head) => Rows::after(&head, self.max_line, sink)?.finish(sink),
        }
    }
}

/// Reads rows whose layout is known.
#[derive(Debug)]
struct Rows {
    fields: Fields,
    layout: Layout,
    max_line: usize,
    row: Row,
    ends: RowEnds,
}

impl Rows {
    /// Takes the layout from the first line, and reads that line.
    fn after(head: &Head, max_line: usize, sink: &mut impl Sink) -> Result<Self, IntakeError> {
        let text = head.text()?;
        let layout = layout::of(text)?;
        let mut rows = Self {
            fields: Fields::new(layout.delimiter, max_line),
            layout,
            max_line,
            row: Row::new(layout.has_header),
            ends: RowEnds::default(),
        };
        rows.feed(text, sink)?;
        Ok(rows)
    }

    fn feed(&mut self, mut input: &[u8], sink: &mut impl Sink) -> Result<(), IntakeError> {
        while let Some(field) = self.fields.next(&mut input)? {
            let ends_row = field.ends_row;
            self.row.take(&field, &self.layout, self.max_line);
            if ends_row {
                self.end_row(sink)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, sink: &mut impl Sink) -> Result<(), IntakeError> {
        if let Some(field) = self.fields.finish()? {
            self.row.take(&field, &self.layout, self.max_line);
            self.end_row(sink)?;
        }
        Ok(())
    }

    fn end_row(&mut self, sink: &mut impl Sink) -> Result<(), IntakeError> {
        let next = Row::new(self.row.header_is_next());
        match std::mem::replace(&mut self.row, next).end(&self.layout, &mut self.ends) {
            Ok(Some(id)) => sink.id(id),
            Ok(None) => Ok(()),
            Err((line, detail)) => sink.bad(line, detail),
        }
    }
}
