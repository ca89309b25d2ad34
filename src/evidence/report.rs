//! The report of a purge: one row per conversation, as CSV (RFC 4180) or as NDJSON.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::csv::append_text;
use crate::domain::outcome::Outcome;

/// The first line of a CSV report.
pub const CSV_HEAD: &str = "conversationId,outcome,code,detail,jobId,decidedAt,holdId,matter,holdCount\r\n";

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
    /// The hold of ours that kept it back.
    pub hold_id: Option<Uuid>,
    /// Its matter.
    pub matter: Option<&'a str>,
    /// How many there were.
    pub hold_count: Option<i64>,
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
        report.push(b',');
        if let Some(hold) = self.hold_id {
            report.extend(hold.hyphenated().encode_lower(&mut buffer).as_bytes());
        }
        report.push(b',');
        append_text(self.matter.unwrap_or_default(), report);
        report.push(b',');
        if let Some(count) = self.hold_count {
            report.extend(count.to_string().as_bytes());
        }
        report.extend(b"\r\n");
    }
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
        hold_id: None,
        matter: None,
        hold_count: None,
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
            "00000000-0000-0000-0000-000000000007,retained,retention_period,until then,j-1,2026-11-25T12:00:00.5Z,,,\r\n"
        );
        assert_eq!(
            text(row, Form::Ndjson),
            concat!(
                r#"{"conversationId":"00000000-0000-0000-0000-000000000007","outcome":"retained","#,
                r#""code":"retention_period","detail":"until then","jobId":"j-1","#,
                r#""decidedAt":"2026-11-25T12:00:00.5Z","holdId":null,"matter":null,"holdCount":null}"#,
                "\n"
            )
        );
        assert_eq!(text(BARE, Form::Csv), "00000000-0000-0000-0000-000000000007,pending,,,,,,,\r\n");
        assert!(text(BARE, Form::Ndjson).contains(r#""code":null"#));
        assert_eq!(CSV_HEAD.split(',').count(), text(BARE, Form::Csv).split(',').count());
    }

    #[test]
    fn a_held_conversation_names_its_hold() {
        let row = Row {
            outcome: Outcome::OnHold,
            code: Some("legal_hold"),
            hold_id: Some(Uuid::from_u128(8)),
            matter: Some("=M"),
            hold_count: Some(2),
            ..BARE
        };
        let id = "00000000-0000-0000-0000-000000000008";
        assert!(text(row, Form::Csv).ends_with(&format!(",legal_hold,,,,{id},'=M,2\r\n")));
        let told = format!(r#""holdId":"{id}","matter":"=M","holdCount":2}}"#);
        assert!(text(row, Form::Ndjson).trim_end().ends_with(&told));
    }

    #[test]
    fn no_text_of_somebody_else_is_a_formula() {
        for pick in [0, 1, 2, 3] {
            let mut row = BARE;
            *[&mut row.code, &mut row.detail, &mut row.job_id, &mut row.matter][pick] = Some("=1;+2");
            assert!(text(row, Form::Csv).contains(",\"'=1;'+2\","), "{pick}");
        }
    }
}
