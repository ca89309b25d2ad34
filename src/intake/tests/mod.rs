//! What the tests of intake share: numbered ids, and parsers fed in pieces of any size.

mod csv;
mod csv_readers;
mod ndjson;
mod spooling;

use uuid::Uuid;

use super::lines::Sink;
use super::{BadLine, IntakeError};

/// The sizes in which every text of a table is fed once.
const CUTS: [usize; 7] = [1, 2, 3, 7, 36, 37, usize::MAX];

/// The id with this number; its text has letters, so that letter case matters.
fn id(number: u64) -> Uuid {
    Uuid::from_u64_pair(0x1b4e_28ba_2fa1_4d2b, 0xa83f_0000_0000_0000 + number)
}

/// Puts ids where a text has `#1` to `#9`.
fn with_ids(text: &str) -> Vec<u8> {
    (1..10)
        .fold(text.to_owned(), |text, number| text.replace(&format!("#{number}"), &id(number).to_string()))
        .into()
}

#[derive(Debug, Default)]
struct Found {
    ids: Vec<Uuid>,
    bad: Vec<BadLine>,
}

impl Sink for Found {
    fn id(&mut self, id: Uuid) -> Result<(), IntakeError> {
        self.ids.push(id);
        Ok(())
    }

    fn bad(&mut self, line: u64, detail: String) -> Result<(), IntakeError> {
        self.bad.push(BadLine { line, detail });
        Ok(())
    }
}

/// What came out, in short: `ids 1 2`, with ` bad 3` for each bad line, or the error's name.
fn short(result: &Result<Found, IntakeError>) -> String {
    match result {
        Ok(found) => {
            let ids =
                found.ids.iter().map(|found| format!(" {}", found.as_u64_pair().1 - id(0).as_u64_pair().1));
            let bad = found.bad.iter().map(|bad| format!(" bad {}", bad.line));
            std::iter::once("ids".to_owned()).chain(ids).chain(bad).collect()
        }
        Err(IntakeError::UnclosedQuote { line }) => format!("UnclosedQuote {line}"),
        Err(error) => {
            let debug = format!("{error:?}");
            debug.split([' ', '{']).next().unwrap().to_owned()
        }
    }
}
