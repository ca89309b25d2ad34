//! Which column of a CSV upload holds the ids, and what stands between columns: decided by its first line.
//!
//! | the first line has | then |
//! |---|---|
//! | one column named `conversationId`, in any letter case, with or without spaces, `_` or `-` in it | that one |
//! | two of them, or one and an id as well | refused |
//! | no such name, and exactly one id | that column, and there is no header |
//! | no such name, an id, and another UUID in any form, be it within a column | refused |
//! | one column alone, named `id` | that one |
//! | anything else | refused |
//! | by one delimiter something of the above, and by another, too | refused |
//!
//! `id` beside other columns is refused, since it may be the id of a recording, a user or a queue.
//!
//! Invariant: what a column is called or holds decides, never where it stands.

use super::super::IntakeError;
use super::super::error::excerpt;
use super::super::id::{is_any_uuid, is_id_name, parse_id};
use super::fields::Fields;
use super::head::DELIMITERS;

const SHOWN: usize = 120;
/// The length of a UUID without hyphens.
const SHORTEST_UUID: usize = 32;

/// How the rows of an upload are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) delimiter: u8,
    /// From 0.
    pub(super) id_column: usize,
    pub(super) has_header: bool,
    /// How many columns a row has at least: up to the last that is not empty in the first line.
    pub(super) narrowest: usize,
    /// In how many columns text may stand. Behind the names of a header none may; where there is none, a column may be empty
    /// in the first row alone.
    pub(super) widest: usize,
}

/// What a first line says of its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    Header(usize),
    Row(usize),
    Several,
    Unknown,
}

/// A first line as one delimiter cuts it.
struct Cut {
    delimiter: u8,
    cells: usize,
    narrowest: usize,
}

impl Cut {
    fn layout(&self, id_column: usize, has_header: bool) -> Layout {
        let Self { delimiter, cells, narrowest } = *self;
        Layout {
            delimiter,
            id_column,
            has_header,
            narrowest,
            widest: if has_header { narrowest } else { cells },
        }
    }
}

/// The layout by the first line, which may follow blank ones. Each delimiter that cuts the line is tried, and only one of
/// them may make sense of it: even two that find the same id there may cut later rows at different places.
pub(super) fn of(head: &[u8]) -> Result<Layout, IntakeError> {
    let read = DELIMITERS.map(|delimiter| {
        let cells = cells(head, delimiter);
        (columns(&cells), Cut { delimiter, cells: cells.len(), narrowest: width(&cells) })
    });
    let is_cut = read.iter().any(|(_, cut)| cut.cells > 1);
    // Of delimiters that all leave the line whole, one stands for the others.
    let tried = if is_cut { &read[..] } else { &read[..1] };
    let makes_sense = |columns, cut: &Cut| (cut.cells > 1) == is_cut && columns != Columns::Unknown;
    let mut made = tried.iter().filter(|(columns, cut)| makes_sense(*columns, cut));
    let header = || excerpt(head.trim_ascii(), SHOWN);
    match (made.next(), made.next()) {
        (None, _) => Err(IntakeError::NoIdColumn { header: header() }),
        (Some((Columns::Header(id_column), cut)), None) => Ok(cut.layout(*id_column, true)),
        (Some((Columns::Row(id_column), cut)), None) => Ok(cut.layout(*id_column, false)),
        _ => Err(IntakeError::TwoIdColumns { header: header() }),
    }
}

/// Whether a UUID stands alone in a cell, in a line of it, or between what could be meant as delimiters.
pub(super) fn holds_uuid(cell: &[u8]) -> bool {
    let cuts = |byte: &u8| DELIMITERS.contains(byte) || matches!(byte, b'\r' | b'\n');
    cell.len() >= SHORTEST_UUID && cell.split(cuts).any(is_any_uuid)
}

/// The number of columns without the empty ones at the end.
fn width(cells: &[Vec<u8>]) -> usize {
    cells.iter().rposition(|cell| !cell.trim_ascii().is_empty()).map_or(0, |last| last + 1)
}

/// The fields of the first row that is not blank. With a delimiter that is not the upload's, quotes may seem to stand
/// elsewhere, so that one that doesn't close means no more than that this is not a row.
fn cells(head: &[u8], delimiter: u8) -> Vec<Vec<u8>> {
    let mut input = head;
    let mut fields = Fields::new(delimiter, head.len());
    let mut cells = Vec::new();
    while let Ok(Some(field)) = fields.next(&mut input) {
        if cells.is_empty() && field.ends_row && field.is_blank() {
            continue;
        }
        cells.push(field.text.unwrap_or_default().to_vec());
        if field.ends_row {
            return cells;
        }
    }
    if let Ok(Some(field)) = fields.finish() {
        cells.push(field.text.unwrap_or_default().to_vec());
    }
    cells
}

fn columns(cells: &[Vec<u8>]) -> Columns {
    let named = only(cells, is_id_name);
    let ids = only(cells, |cell| parse_id(cell).is_ok());
    match (named, ids) {
        (Found::One(column), Found::None) => Columns::Header(column),
        (Found::Several | Found::One(_), _) | (Found::None, Found::Several) => Columns::Several,
        (Found::None, Found::One(column)) => {
            // What stands within another column may be the id by the delimiter that was meant.
            let mut others = cells.iter().enumerate().filter(|(other, _)| *other != column);
            let is_alone = others.all(|(_, cell)| !holds_uuid(cell));
            if is_alone { Columns::Row(column) } else { Columns::Several }
        }
        (Found::None, Found::None) => match cells {
            [cell] if cell.trim_ascii().eq_ignore_ascii_case(b"id") => Columns::Header(0),
            _ => Columns::Unknown,
        },
    }
}

enum Found {
    None,
    One(usize),
    Several,
}

fn only(cells: &[Vec<u8>], is_meant: impl Fn(&[u8]) -> bool) -> Found {
    let mut columns = cells.iter().enumerate().filter(|(_, cell)| is_meant(cell)).map(|(column, _)| column);
    match (columns.next(), columns.next()) {
        (None, _) => Found::None,
        (Some(column), None) => Found::One(column),
        (Some(_), Some(_)) => Found::Several,
    }
}
