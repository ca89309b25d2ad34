//! The report of a purge: one row a conversation, as CSV (RFC 4180) or as NDJSON.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::outcome::Outcome;

/// The first line of a CSV report.
pub const CSV_HEAD: &str = "conversationId,outcome,code,detail,jobId,decidedAt\r\n";

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Comma separated, lines end with CR and LF.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// What became of one conversation; the fields are those of `GET /purges/{id}/conversations`.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row<'a> {
    pub conversation_id: Uuid,
    /// What became of it.
    pub outcome: Outcome,
    /// Why: a stable word.
    pub code: Option<&'a str>,
    /// More, for a person.
    pub detail: Option<&'a str>,
    /// Genesys' id of the job that carried it last.
    pub job_id: Option<&'a str>,
    /// When that was decided.
    pub decided_at: Option<Timestamp>,
}

impl Row<'_> {
    /// Appends the row with the end of its line.
    pub fn append(&self, form: Form, report: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match form {
            Form::Csv => self.append_csv(report),
            Form::Ndjson => {
                serde_json::to_writer(&mut *report, self)?;
                report.push(b'\n');
            }
        }
        Ok(())
    }

    fn append_csv(&self, report: &mut Vec<u8>) {
        let mut buffer = Uuid::encode_buffer();
        report.extend(self.conversation_id.hyphenated().encode_lower(&mut buffer).as_bytes());
        report.push(b',');
        report.extend(self.outcome.as_str().as_bytes());
        // The three that may carry words of upstream.
        for text in [self.code, self.detail, self.job_id] {
            report.push(b',');
            append_text(text.unwrap_or_default(), report);
        }
        report.push(b',');
        if let Some(at) = self.decided_at {
            report.extend(at.to_string().as_bytes());
        }
        report.extend(b"\r\n");
    }
}

/// What a formula begins with.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];
/// Where a spreadsheet begins a cell that splits at `;` or tabs instead of `,`: a quote within its cell holds nothing
/// together.
const SPLIT: [char; 4] = [';', '\t', '\r', '\n'];

/// Appends a text of somebody else: a spreadsheet must not take it for a formula, nor for more than one field.
fn append_text(text: &str, report: &mut Vec<u8>) {
    let is_quoted = text.contains(['"', ',']) || text.contains(SPLIT);
    if !is_quoted {
        report.extend(guard(text.starts_with(FORMULA)).as_bytes());
        report.extend(text.as_bytes());
        return;
    }
    report.extend(b"\"");
    report.extend(guard(text.starts_with(FORMULA) || text.starts_with(['\t', '\r', '\n'])).as_bytes());
    let mut rest = text;
    while let Some(at) = rest.find(SPLIT) {
        // All of them are one byte long.
        let (cell, behind) = rest.split_at(at + 1);
        report.extend(cell.replace('"', "\"\"").as_bytes());
        report.extend(guard(behind.trim_start_matches('"').starts_with(FORMULA)).as_bytes());
        rest = behind;
    }
    report.extend(rest.replace('"', "\"\"").as_bytes());
    report.extend(b"\"");
}

/// What makes a cell a text.
fn guard(is_needed: bool) -> &'static str {
    if is_needed { "'" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: Row<'_> = Row {
        conversation_id: Uuid::from_u128(7),
        outcome: Outcome::Pending,
        code: None,
        detail: None,
        job_id: None,
        decided_at: None,
    };

    fn text(row: Row<'_>, form: Form) -> String {
        let mut report = Vec::new();
        row.append(form, &mut report).unwrap();
        String::from_utf8(report).unwrap()
    }

    #[test]
    fn a_row_has_the_same_fields_in_both_forms() {
        let row = Row {
            outcome: Outcome::Retained,
            code: Some("retention_period"),
            detail: Some("until then"),
            job_id: Some("j-1"),
            decided_at: Some("2026-11-25T12:00:00.5Z".parse().unwrap()),
            ..BARE
        };
        assert_eq!(
            text(row, Form::Csv),
            "00000000-0000-0000-0000-000000000007,retained,retention_period,until then,j-1,2026-11-25T12:00:00.5Z\r\n"
        );
        assert_eq!(
            text(row, Form::Ndjson),
            concat!(
                r#"{"conversationId":"00000000-0000-0000-0000-000000000007","outcome":"retained","#,
                r#""code":"retention_period","detail":"until then","jobId":"j-1","#,
                r#""decidedAt":"2026-11-25T12:00:00.5Z"}"#,
                "\n"
            )
        );
        assert_eq!(text(BARE, Form::Csv), "00000000-0000-0000-0000-000000000007,pending,,,,\r\n");
        assert!(text(BARE, Form::Ndjson).contains(r#""code":null"#));
        assert_eq!(CSV_HEAD.split(',').count(), text(BARE, Form::Csv).split(',').count());
    }

    #[test]
    fn a_text_of_somebody_else_is_one_field_and_no_formula() {
        let table = [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("+49", "'+49"),
            ("-1", "'-1"),
            ("@now", "'@now"),
            ("\tx", "\"'\tx\""),
            ("x;y\tz", "\"x;y\tz\""),
            ("x;=HYPERLINK(1)", "\"x;'=HYPERLINK(1)\""),
            ("x\t+1;-2\n@3\r=4", "\"x\t'+1;'-2\n'@3\r'=4\""),
            ("=1;\"=2\"", "\"'=1;'\"\"=2\"\"\""),
            (";;=", "\";;'=\""),
            ("ä; 1-1=0", "\"ä; 1-1=0\""),
            ("\rx", "\"'\rx\""),
            ("\nx", "\"'\nx\""),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("1=1", "1=1"),
            ("Löschung – später", "Löschung – später"),
        ];
        for (told, expected) in table {
            for pick in [0, 1, 2] {
                let mut row = BARE;
                *[&mut row.code, &mut row.detail, &mut row.job_id][pick] = Some(told);
                let fields = [0, 1, 2].map(|field| if field == pick { expected } else { "" }).join(",");
                let line = format!("00000000-0000-0000-0000-000000000007,pending,{fields},\r\n");
                assert_eq!(text(row, Form::Csv), line, "{told:?}");
            }
        }
    }
}
