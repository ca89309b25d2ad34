//! CSV to ids, as people's tools write it.
//!
//! Understood: a byte-order mark, LF, CRLF and CR, quotes, columns between `,`, `;` or tabs (told from the first line),
//! the id in any column, lines that are blank. Which column holds the ids is told by the header or, where there is
//! none, by the one id in the first row (see [`layout`]); a first row with an id is never taken for a header. What
//! stands between columns is told by the same: by it alone the first line makes sense.
//!
//! Invariant: no column is guessed. Where two could be meant, or none, the upload is refused.

mod fields;
mod head;
mod layout;

use uuid::Uuid;

use self::fields::{Field, Fields};
use self::head::Head;
use self::layout::Layout;
use super::IntakeError;
use super::id::parse_id;
use super::lines::{Sink, too_long};

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
    id_column: usize,
    max_line: usize,
    /// Whether the next row that is not blank is the header.
    header_next: bool,
    row: Row,
}

impl Rows {
    /// Takes the layout from the first line, and reads that line.
    fn after(head: &Head, max_line: usize, sink: &mut impl Sink) -> Result<Self, IntakeError> {
        let text = head.text()?;
        let Layout { delimiter, id_column, has_header } = layout::of(text)?;
        let mut rows = Self {
            fields: Fields::new(delimiter, max_line),
            id_column,
            max_line,
            header_next: has_header,
            row: Row::default(),
        };
        rows.feed(text, sink)?;
        Ok(rows)
    }

    fn feed(&mut self, mut input: &[u8], sink: &mut impl Sink) -> Result<(), IntakeError> {
        while let Some(field) = self.fields.next(&mut input)? {
            let ends_row = field.ends_row;
            self.row.take(&field, self.id_column, self.max_line);
            if ends_row {
                let row = std::mem::take(&mut self.row);
                row.end(self.id_column, &mut self.header_next, sink)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, sink: &mut impl Sink) -> Result<(), IntakeError> {
        if let Some(field) = self.fields.finish()? {
            self.row.take(&field, self.id_column, self.max_line);
            self.row.end(self.id_column, &mut self.header_next, sink)?;
        }
        Ok(())
    }
}

/// What was seen of the row that is being read.
#[derive(Debug, Default)]
struct Row {
    line: u64,
    columns: usize,
    /// Whether nothing but white space was seen.
    blank: bool,
    /// Its id, or the first thing that is wrong with it.
    found: Option<Result<Uuid, String>>,
}

impl Row {
    fn take(&mut self, field: &Field<'_>, id_column: usize, max_line: usize) {
        if self.columns == 0 {
            self.line = field.line;
            self.blank = field.ends_row && field.is_blank();
        }
        if field.too_long {
            if !matches!(self.found, Some(Err(_))) {
                let what = format!("column {} of the row", self.columns + 1);
                self.found = Some(Err(too_long(&what, max_line)));
            }
        } else if self.columns == id_column && self.found.is_none() {
            self.found = Some(parse_id(field.text));
        }
        self.columns += 1;
    }

    fn end(self, id_column: usize, header_next: &mut bool, sink: &mut impl Sink) -> Result<(), IntakeError> {
        if self.blank || std::mem::take(header_next) {
            return Ok(());
        }
        match self.found {
            Some(Ok(id)) => sink.id(id),
            Some(Err(detail)) => sink.bad(self.line, detail),
            None => sink.bad(
                self.line,
                format!(
                    "the row ends at column {}, and the id belongs in column {}; fill the row up or remove it",
                    self.columns,
                    id_column + 1
                ),
            ),
        }
    }
}
