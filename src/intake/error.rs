//! Why an upload was refused, in sentences for the person who sent it.
//!
//! Invariant: no message here carries more than a short, escaped excerpt of what was sent.

use std::error::Error;
use std::io::{self, ErrorKind};

/// The most bad lines that are told at once.
pub(super) const MAX_BAD_LINES: usize = 20;

/// A line that can't be read as a conversation id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Where it begins in the upload: the first line is 1, blank lines and line breaks within quotes count.
    pub line: u64,
    /// What is wrong with it and what to change.
    pub detail: String,
}

/// Why an upload was not taken. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Some lines are wrong.
    #[error("{}", told(lines, *more))]
    BadLines {
        /// The first of them, in their order, at most 20.
        lines: Vec<BadLine>,
        /// Whether reading stopped at the last of `lines`, so that there may be more.
        more: bool,
    },
    /// The text is UTF-16 (or UTF-32).
    #[error("the upload is UTF-16; save it as UTF-8 (\"CSV UTF-8\" in spreadsheets) and send it again")]
    Utf16,
    /// No column of a CSV upload can be told to hold the ids.
    #[error(
        "the first line \"{header}\" has no column `conversationId` and no id; add a header with it, or send one id per line"
    )]
    NoIdColumn {
        /// The beginning of the first line, escaped.
        header: String,
    },
    /// More than one column of a CSV upload could hold the ids.
    #[error(
        "more than one column of the first line \"{header}\" can be the conversation id; name exactly one of them \
         `conversationId` in a header"
    )]
    TwoIdColumns {
        /// The beginning of the first line, escaped.
        header: String,
    },
    /// There is no id in it.
    #[error("the upload contains no conversation id")]
    Empty,
    /// It holds more ids than one purge may.
    #[error("the upload contains more than {limit} ids; send it in parts")]
    TooManyIds {
        /// The most ids that are taken, repeats included.
        limit: u64,
    },
    /// A quote opens and the text ends, or the longest field is passed, before it closes.
    #[error("the quoted field that begins on line {line} is not closed; add its closing quote")]
    UnclosedQuote {
        /// The line of the opening quote.
        line: u64,
    },
    /// The sender's stream failed before its end.
    #[error("the upload broke off before its end")]
    Broken {
        /// What the stream said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The disk (or the quota) of `intake.spool_dir` has no room.
    #[error("the folder for uploads is full (intake.spool_dir)")]
    SpoolFull {
        /// What the system said.
        source: io::Error,
    },
    /// The temporary files can't be made, written or read.
    #[error("the temporary files of the upload can't be used (intake.spool_dir)")]
    Spool {
        /// What the system said.
        source: io::Error,
    },
    /// The service is stopping.
    #[error("the service is stopping; send the upload again")]
    Interrupted,
}

impl From<io::Error> for IntakeError {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::SpoolFull { source },
            _ => Self::Spool { source },
        }
    }
}

fn told(lines: &[BadLine], more: bool) -> String {
    let count = lines.len();
    let reach = if more { "at least " } else { "" };
    let noun = if count == 1 { "line" } else { "lines" };
    lines.first().map_or_else(String::new, |first| {
        format!("{reach}{count} {noun} can't be read; the first is line {}: {}", first.line, first.detail)
    })
}

/// The beginning of what was sent, safe to print: at most `chars` characters, then an ellipsis; what can't be seen is
/// escaped.
pub(super) fn excerpt(text: &[u8], chars: usize) -> String {
    // No character is longer than four bytes, so this is enough to fill the excerpt and to see that there is more.
    let head = &text[..text.len().min(4 * (chars + 1))];
    let lossy = String::from_utf8_lossy(head);
    let mut shown: String = lossy.chars().take(chars).flat_map(char::escape_debug).collect();
    if lossy.chars().nth(chars).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_shows_no_control_characters() {
        let cases: [(&[u8], &str); 6] = [
            (b"plain", "plain"),
            (b"0123456789", "0123456789"),
            (b"0123456789x", "0123456789…"),
            ("ä€ä€ä€ä€ä€+".as_bytes(), "ä€ä€ä€ä€ä€…"),
            (b"a\0\r\n\x1b\"", "a\\0\\r\\n\\u{1b}\\\""),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
        ];
        for (text, shown) in cases {
            assert_eq!(excerpt(text, 10), shown);
        }
    }

    #[test]
    fn a_full_disk_and_a_used_up_quota_are_told_apart_from_other_faults() {
        let enospc = io::Error::from(nix::errno::Errno::ENOSPC);
        let edquot = io::Error::from(nix::errno::Errno::EDQUOT);
        let eio = io::Error::from(nix::errno::Errno::EIO);
        assert!(matches!(IntakeError::from(enospc), IntakeError::SpoolFull { .. }));
        assert!(matches!(IntakeError::from(edquot), IntakeError::SpoolFull { .. }));
        assert!(matches!(IntakeError::from(eio), IntakeError::Spool { .. }));
    }

    #[test]
    fn the_sentence_on_bad_lines_counts_them_and_tells_the_first() {
        let lines = vec![BadLine { line: 3, detail: "the id is empty".into() }];
        let one = IntakeError::BadLines { lines: lines.clone(), more: false };
        assert_eq!(one.to_string(), "1 line can't be read; the first is line 3: the id is empty");
        let many = IntakeError::BadLines { lines: [lines.clone(), lines].concat(), more: true };
        assert_eq!(many.to_string(), "at least 2 lines can't be read; the first is line 3: the id is empty");
    }
}
