//! One row: the id that it holds, or what is wrong with it.
//!
//! | a row | why it is refused |
//! |---|---|
//! | with text in more columns than the first line | a delimiter without quotes around it has moved the ids |
//! | with fewer columns than the first line | an end of line without quotes around it has moved the ids |
//! | in an upload without a header, with an id in another column | nothing says which of them is meant |
//! | with an id in a column of several lines | a quote that was not meant to open swallows rows |
//! | with text behind a closing quote, or blanks before an opening one | readers differ about where it ends |
//! | that a CR ends while an LF ends others | readers differ about whether it ends there |
//!
//! Invariant: no id is taken from an ambiguous row.

use uuid::Uuid;

use super::super::id::parse_id;
use super::super::lines::too_long;
use super::fields::{Field, QuoteFault};
use super::layout::{Layout, holds_uuid};

/// What was seen of the row that is being read.
#[derive(Debug, Default)]
pub(super) struct Row {
    is_header: bool,
    line: u64,
    after_lf: bool,
    columns: usize,
    /// Whether nothing but white space was seen.
    blank: bool,
    id: Option<Uuid>,
    /// The first thing that is wrong with it.
    wrong: Option<String>,
}

impl Row {
    pub(super) fn new(is_header: bool) -> Self {
        Self { is_header, ..Self::default() }
    }

    pub(super) fn take(&mut self, field: &Field<'_>, layout: &Layout, max_line: usize) {
        if self.columns == 0 {
            self.line = field.line;
            self.after_lf = field.after_lf;
            self.blank = field.ends_row && field.is_blank();
        }
        if self.wrong.is_none() {
            self.wrong = self.read(field, layout, max_line).err();
        }
        self.columns += 1;
    }

    fn read(&mut self, field: &Field<'_>, layout: &Layout, max_line: usize) -> Result<(), String> {
        let column = self.columns + 1;
        let Some(text) = field.text else {
            return Err(too_long(&format!("column {column} of the row"), max_line));
        };
        match field.fault {
            Some(QuoteFault::TextAfter(line)) => {
                return Err(format!(
                    "text follows the closing quote of column {column} on line {line}; write each quote within a quoted \
                     text twice"
                ));
            }
            Some(QuoteFault::BlanksBefore) => {
                return Err(format!("there are blanks before the quote of column {column}; remove them"));
            }
            None => {}
        }
        if self.is_header {
            return Ok(());
        }
        if self.columns == layout.id_column {
            self.id = Some(parse_id(text)?);
            return Ok(());
        }
        check_other(text, column, field.last_line > field.line, layout)
    }

    /// Whether the header is still to come: this row was to be it, and is blank.
    pub(super) fn header_is_next(&self) -> bool {
        self.is_header && self.blank
    }

    /// Its id, if it is not blank and no header; else, with the line that it begins on, what is wrong with it.
    pub(super) fn end(self, layout: &Layout, ends: &mut RowEnds) -> Result<Option<Uuid>, (u64, String)> {
        let ends_alike = ends.pass(self.after_lf, self.blank);
        if self.blank {
            return Ok(None);
        }
        if let Some(wrong) = self.wrong {
            return Err((self.line, wrong));
        }
        if !ends_alike {
            let detail = "an LF ends some of the lines before, and a CR alone others; end all of them alike, and put \
                          quotes around a text with an end of line in it";
            return Err((self.line, detail.to_owned()));
        }
        match self.id {
            Some(id) if self.columns >= layout.narrowest => Ok(Some(id)),
            None if self.is_header => Ok(None),
            _ => {
                let detail = format!(
                    "the row ends at column {}, and the first line at column {}; fill the row up or remove it, and put \
                     quotes around a text with an end of line in it",
                    self.columns, layout.narrowest
                );
                Err((self.line, detail))
            }
        }
    }
}

/// Checks a cell that is not in the column of the ids.
fn check_other(text: &[u8], column: usize, spans_lines: bool, layout: &Layout) -> Result<(), String> {
    if column > layout.widest && !text.trim_ascii().is_empty() {
        return Err(format!(
            "text stands in column {column}, and the first line ends at column {}; put quotes around a text with a \
             delimiter in it, or name the column",
            layout.widest
        ));
    }
    let why = if !layout.has_header {
        "no header says which is meant; name the column of the ids `conversationId` in a header"
    } else if spans_lines {
        "it goes over several lines, as if a quote that opens it had swallowed rows; write a quote within a text twice, or \
         leave the column out"
    } else {
        return Ok(());
    };
    if holds_uuid(text) {
        return Err(format!("column {column} holds an id, and {why}"));
    }
    Ok(())
}

/// What ends the rows that were seen.
#[derive(Debug, Default)]
pub(super) struct RowEnds {
    /// Whether an LF stands behind the last row that is not blank.
    after_lf: bool,
    seen: Seen,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Seen {
    #[default]
    NoRow,
    OneRow,
    Lf,
    Cr,
}

impl RowEnds {
    /// Notes the end of the row before this one, and tells whether it is like those before it. Of several ends in a row one
    /// with an LF counts: some tools write CR CR LF.
    fn pass(&mut self, after_lf: bool, is_blank: bool) -> bool {
        self.after_lf |= after_lf;
        if is_blank {
            return true;
        }
        let end = if std::mem::take(&mut self.after_lf) { Seen::Lf } else { Seen::Cr };
        let seen = self.seen;
        match seen {
            Seen::NoRow => self.seen = Seen::OneRow,
            Seen::OneRow => self.seen = end,
            Seen::Lf | Seen::Cr => {}
        }
        matches!(seen, Seen::NoRow | Seen::OneRow) || seen == end
    }
}
