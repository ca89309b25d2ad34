//! Which column of a CSV upload holds the ids, and what stands between columns: decided by its first line.
//!
//! | the first line has | then |
//! |---|---|
//! | one column named `conversationId`, in any letter case, with or without spaces, `_` or `-` in it | that one |
//! | two of them, or one and an id as well | refused |
//! | no such name, and exactly one id | that column, and there is no header |
//! | no such name, and several ids, be it within one column | refused |
//! | one column alone, named `id` | that one |
//! | anything else | refused |
//! | by one delimiter something of the above, and by another, too | refused |
//!
//! `id` beside other columns is refused, since it may be the id of a recording, a user or a queue.
//!
//! Invariant: what a column is called or holds decides, never where it stands.

use super::super::IntakeError;
use super::super::error::excerpt;
use super::super::id::parse_id;
use super::fields::Fields;
use super::head::DELIMITERS;

const SHOWN: usize = 120;

/// How the rows of an upload are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) delimiter: u8,
    /// From 0.
    pub(super) id_column: usize,
    pub(super) has_header: bool,
}

/// What a first line says of its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    Header(usize),
    Row(usize),
    Several,
    Unknown,
}

/// The layout by the first line, which may follow blank ones. Each delimiter that cuts the line is tried, and only one of
/// them may make sense of it: even two that find the same id there may cut later rows at different places.
pub(super) fn of(head: &[u8]) -> Result<Layout, IntakeError> {
    let read = DELIMITERS.map(|delimiter| {
        let cells = cells(head, delimiter);
        (delimiter, cells.len() > 1, columns(&cells))
    });
    let is_cut = read.iter().any(|(_, cuts, _)| *cuts);
    // Of delimiters that all leave the line whole, one stands for the others.
    let tried = if is_cut { &read[..] } else { &read[..1] };
    let mut made = tried.iter().filter(|(_, cuts, columns)| *cuts == is_cut && *columns != Columns::Unknown);
    let header = || excerpt(head.trim_ascii(), SHOWN);
    match (made.next(), made.next()) {
        (None, _) => Err(IntakeError::NoIdColumn { header: header() }),
        (Some(&(delimiter, _, Columns::Header(id_column))), None) => {
            Ok(Layout { delimiter, id_column, has_header: true })
        }
        (Some(&(delimiter, _, Columns::Row(id_column))), None) => {
            Ok(Layout { delimiter, id_column, has_header: false })
        }
        _ => Err(IntakeError::TwoIdColumns { header: header() }),
    }
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
        cells.push(field.text.to_vec());
        if field.ends_row {
            return cells;
        }
    }
    if let Ok(Some(field)) = fields.finish() {
        cells.push(field.text.to_vec());
    }
    cells
}

fn columns(cells: &[Vec<u8>]) -> Columns {
    let named = only(cells, |cell| name(cell) == "conversationid");
    let ids = only(cells, |cell| parse_id(cell).is_ok());
    // One that stands within a column may be the id by the delimiter that was meant.
    let pieces = cells.iter().flat_map(|cell| cell.split(|byte| DELIMITERS.contains(byte)));
    let in_all = pieces.filter(|piece| parse_id(piece).is_ok()).count();
    match (named, ids) {
        (Found::One(column), Found::None) => Columns::Header(column),
        (Found::Several | Found::One(_), _) | (Found::None, Found::Several) => Columns::Several,
        (Found::None, Found::One(_)) if in_all > 1 => Columns::Several,
        (Found::None, Found::One(column)) => Columns::Row(column),
        (Found::None, Found::None) if cells.len() == 1 && name(&cells[0]) == "id" => Columns::Header(0),
        (Found::None, Found::None) => Columns::Unknown,
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

/// What a header calls a column, without letter case and without what people put between words.
fn name(cell: &[u8]) -> String {
    let letters = cell.iter().filter(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'_' | b'-'));
    String::from_utf8_lossy(&letters.map(u8::to_ascii_lowercase).collect::<Vec<u8>>()).into_owned()
}
