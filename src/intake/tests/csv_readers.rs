//! What other readers take from an upload that is accepted: the `csv` crate finds the same ids, and in no other place.

use csv::{ByteRecord, ReaderBuilder};
use proptest::prelude::*;
use uuid::Uuid;

use super::csv::read;
use super::{CUTS, with_ids};

/// An upload as the `csv` crate reads it, if its first record names one column of ids, or holds one id.
#[derive(Debug)]
struct Reading {
    /// Without blank ones.
    records: Vec<ByteRecord>,
    id_column: usize,
    has_header: bool,
}

impl Reading {
    fn by(delimiter: u8, text: &[u8]) -> Option<Self> {
        let mut reader =
            ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text);
        let is_blank = |record: &ByteRecord| record.len() == 1 && record[0].trim_ascii().is_empty();
        let records: Vec<ByteRecord> =
            reader.byte_records().map(Result::unwrap).filter(|record| !is_blank(record)).collect();
        let first = records.first()?;
        let columns = |is_meant: fn(&[u8]) -> bool| {
            (0..first.len()).filter(|&column| is_meant(&first[column])).collect::<Vec<_>>()
        };
        let is_named = |cell: &[u8]| name(cell) == "conversationid";
        match (&columns(is_named)[..], &columns(|cell| id_in(cell).is_some())[..]) {
            (&[id_column], []) => Some(Self { id_column, has_header: true, records }),
            ([], &[id_column]) => Some(Self { id_column, has_header: false, records }),
            ([], []) if first.len() == 1 && name(&first[0]) == "id" => {
                Some(Self { id_column: 0, has_header: true, records })
            }
            _ => None,
        }
    }

    /// The only one that there is, by the delimiters that cut the first record, or by any if none does.
    fn of(text: &[u8]) -> Option<Self> {
        let readings: Vec<Self> = b",;\t".iter().filter_map(|&delimiter| Self::by(delimiter, text)).collect();
        let (cut, whole): (Vec<_>, Vec<_>) =
            readings.into_iter().partition(|reading| reading.records[0].len() > 1);
        match cut.len() {
            0 => whole.into_iter().next(),
            1 => cut.into_iter().next(),
            _ => None,
        }
    }

    fn rows(&self) -> &[ByteRecord] {
        &self.records[usize::from(self.has_header)..]
    }

    /// What stands in the column of the ids.
    fn ids(&self) -> Vec<Option<Uuid>> {
        self.rows().iter().map(|row| row.get(self.id_column).and_then(id_in)).collect()
    }

    /// Whether each row has the columns of the first: text in no other, and none left out.
    fn is_even(&self) -> bool {
        let width = |record: &ByteRecord| {
            record.iter().rposition(|cell| !cell.trim_ascii().is_empty()).map_or(0, |last| last + 1)
        };
        let first = &self.records[0];
        let widest = if self.has_header { width(first) } else { first.len() };
        self.rows().iter().all(|row| row.len() >= width(first) && width(row) <= widest)
    }

    /// Whether ids stand in one column alone, as far as no header names it.
    fn is_clear(&self) -> bool {
        let others = |row: &ByteRecord| {
            row.iter().enumerate().any(|(at, cell)| at != self.id_column && id_in(cell).is_some())
        };
        self.has_header || !self.rows().iter().any(others)
    }
}

fn name(cell: &[u8]) -> String {
    let text = String::from_utf8_lossy(cell).to_ascii_lowercase();
    text.replace(|c: char| c.is_ascii_whitespace() || c == '_' || c == '-', "")
}

fn id_in(cell: &[u8]) -> Option<Uuid> {
    let text = std::str::from_utf8(cell.trim_ascii()).ok()?;
    Uuid::parse_str(text).ok().filter(|id| id.to_string().eq_ignore_ascii_case(text))
}

/// First lines, what stands between their columns, and how many of these stand before and behind that of the ids.
const HEADS: &[(&str, &str, usize, usize)] = &[
    ("conversationId", ",", 0, 0),
    ("id", ";", 0, 0),
    ("\"Conversation ID\"", "\t", 0, 0),
    ("a,conversationId", ",", 1, 0),
    ("conversationId,parentConversationId", ",", 0, 1),
    ("a;conversationId;b", ";", 1, 1),
    ("a\tparent\tconversation_id", "\t", 2, 0),
    ("conversationId,,", ",", 0, 2),
    ("\"a,b\";conversationId", ";", 1, 0),
    ("#9", ",", 0, 0),
    ("#9,x", ",", 0, 1),
    ("x;#9;", ";", 1, 1),
    (",#9", ",", 1, 0),
];
const IDS: &[&str] = &["#1", "#2", "#3", "#4", "\"#5\"", " #6 ", "\"#7\" ", "\"\n#8\""];
const TEXTS: &[&str] = &[
    "",
    "",
    "",
    "x",
    "x",
    " ",
    "\"\"",
    "\"a,b\"",
    "\"a;\tb\"",
    "\"a\nb\"",
    "\"a\"\"b\"",
    "5\" disk",
    "see #9",
];
/// Cells that may be meant otherwise, some of them cut in two.
const ODD: &[&str] = &[
    "#1",
    "\"5 inch",
    "tall\"",
    "\"#1\n",
    "{#1}",
    "\"#1\"x",
    " \"x",
    "\"see\r#2\r\n\"",
    "\"a\\\"b",
    "\"#1;#2\"",
    "a,b",
    "x\n#3",
];
/// What may slip in anywhere.
const SLIPS: &[&str] = &[
    "\"",
    "\"\"",
    ",",
    ";",
    "\t",
    "\r",
    "\n",
    "\r\n",
    " ",
    "x",
    "#1",
    "#2",
    "\u{feff}",
    "\u{a0}",
    "\0",
    "conversationId",
    "id",
];

fn texts(pieces: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(pieces)
}

/// Cells for columns beside that of the ids.
fn others(columns: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop_oneof![15 => texts(TEXTS), 1 => texts(ODD)], columns)
}

fn row(before: usize, behind: usize) -> impl Strategy<Value = Vec<&'static str>> {
    let id = prop_oneof![15 => texts(IDS), 1 => texts(ODD)];
    let surplus = prop_oneof![15 => Just(0), 1 => 1_usize..3];
    (others(before), id, others(behind), surplus.prop_flat_map(others))
        .prop_map(|(before, id, behind, surplus)| [before, vec![id], behind, surplus].concat())
}

/// Rows below a first line that makes sense, with something else in between or without.
fn rows() -> impl Strategy<Value = String> {
    prop::sample::select(HEADS).prop_flat_map(|(head, delimiter, before, behind)| {
        let rows = prop::collection::vec(row(before, behind), 0..5);
        let slip = (any::<prop::sample::Index>(), texts(SLIPS));
        let ends = texts(&["\n", "\n", "\r\n", "\r", "\n\n"]);
        (texts(&["", "\u{feff}"]), ends, rows, prop::collection::vec(slip, 0..3)).prop_map(
            move |(mark, ends, rows, slips)| {
                let lines =
                    std::iter::once(head.to_owned()).chain(rows.iter().map(|row| row.join(delimiter)));
                let mut text = format!("{mark}{}", lines.collect::<Vec<_>>().join(ends));
                for (at, slip) in slips {
                    let places: Vec<usize> =
                        text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
                    text.insert_str(*at.get(&places), slip);
                }
                text
            },
        )
    })
}

fn uploads() -> impl Strategy<Value = Vec<u8>> {
    let anything = prop::collection::vec(prop_oneof![texts(SLIPS), texts(ODD), texts(IDS)], 0..30);
    prop_oneof![7 => rows(), 1 => anything.prop_map(|pieces| pieces.concat())]
        .prop_map(|text| with_ids(&text))
}

proptest! {
    #[test]
    fn an_accepted_upload_names_the_ids_that_the_csv_crate_finds_and_no_others(
        text in uploads(), cut in prop::sample::select(&CUTS[..]),
    ) {
        if let Ok(found) = read(&text, cut) && found.bad.is_empty() {
            let reading = Reading::of(&text);
            let ids = reading.as_ref().map(Reading::ids).unwrap_or_default();
            prop_assert_eq!(ids, found.ids.into_iter().map(Some).collect::<Vec<_>>());
            if let Some(reading) = reading {
                prop_assert!(reading.is_even() && reading.is_clear(), "{:?}", reading);
            }
        }
    }
}
