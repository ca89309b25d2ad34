//! One upload while it is being read: its parser, and the tally of what the parser found.
//!
//! Invariant: after the first bad line nothing more is written, and after the last one that is reported nothing more
//! is read.

use std::path::Path;

use uuid::Uuid;

use super::csv::CsvParser;
use super::error::MAX_BAD_LINES;
use super::lines::Sink;
use super::ndjson::NdjsonParser;
use super::spooled::Spooled;
use super::writer::{RUN, Writer};
use super::{BadLine, Format, IntakeError, Limits};

/// Takes the bytes of an upload, cut anywhere.
#[derive(Debug)]
pub(super) struct Upload {
    parser: Parser,
    tally: Tally,
}

#[derive(Debug)]
enum Parser {
    Csv(CsvParser),
    Ndjson(NdjsonParser),
}

impl Upload {
    /// Opens the temporary files, so that a folder that can't be used is told before anything is read.
    pub(super) fn begin(format: Format, spool_dir: &Path, limits: Limits) -> Result<Self, IntakeError> {
        let parser = match format {
            Format::Csv => Parser::Csv(CsvParser::new(limits.max_line)),
            Format::Ndjson => Parser::Ndjson(NdjsonParser::new(limits.max_line)),
        };
        let writer = Writer::open(spool_dir, RUN)?;
        let limit = limits.max_ids.min(u32::MAX.into());
        Ok(Self { parser, tally: Tally { received: 0, limit, verdict: Verdict::Good(writer) } })
    }

    /// Reads the next bytes.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<(), IntakeError> {
        match &mut self.parser {
            Parser::Csv(parser) => parser.feed(input, &mut self.tally),
            Parser::Ndjson(parser) => parser.feed(input, &mut self.tally),
        }
    }

    /// Ends the upload: there are no more bytes.
    pub(super) fn finish(self) -> Result<Spooled, IntakeError> {
        let mut tally = self.tally;
        match self.parser {
            Parser::Csv(parser) => parser.finish(&mut tally)?,
            Parser::Ndjson(parser) => parser.finish(&mut tally)?,
        }
        match tally.verdict {
            Verdict::Bad(lines) => Err(IntakeError::BadLines { lines, more: false }),
            Verdict::Good(_) if tally.received == 0 => Err(IntakeError::Empty),
            Verdict::Good(writer) => Ok(Spooled::from_disk(writer.finish()?)),
        }
    }
}

/// Counts ids and collects bad lines.
#[derive(Debug)]
struct Tally {
    received: u64,
    limit: u64,
    verdict: Verdict,
}

#[derive(Debug)]
enum Verdict {
    /// Every line so far was good.
    Good(Writer),
    /// These were not; the temporary files are gone.
    Bad(Vec<BadLine>),
}

impl Sink for Tally {
    fn id(&mut self, id: Uuid) -> Result<(), IntakeError> {
        if self.received == self.limit {
            return Err(IntakeError::TooManyIds { limit: self.limit });
        }
        self.received += 1;
        if let Verdict::Good(writer) = &mut self.verdict {
            writer.push(id)?;
        }
        Ok(())
    }

    fn bad(&mut self, line: u64, detail: String) -> Result<(), IntakeError> {
        let mut lines = match std::mem::replace(&mut self.verdict, Verdict::Bad(Vec::new())) {
            Verdict::Good(_) => Vec::new(),
            Verdict::Bad(lines) => lines,
        };
        lines.push(BadLine { line, detail });
        if lines.len() == MAX_BAD_LINES {
            return Err(IntakeError::BadLines { lines, more: true });
        }
        self.verdict = Verdict::Bad(lines);
        Ok(())
    }
}
