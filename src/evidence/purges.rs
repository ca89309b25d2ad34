//! The list of purges as CSV (RFC 4180): one row per purge, with the fields of `GET /purges`.

use jiff::Timestamp;
use uuid::Uuid;

use super::csv::append_text;
use crate::domain::counts::Tally;
use crate::domain::state::PurgeState;

/// The first line.
pub const CSV_HEAD: &str = "id,state,run,org,dryRun,reason,reference,labels,requestedBy,createdAt,startedAt,finishedAt,\
                            blockedCode,pausedCode,lastAct,lastActBy,lastActReason,lastActAt,total,duplicates,pending,eligible,submitted,\
                            purged,already_purged,on_hold,retained,not_found,active,failed,canceled,would_purge\r\n";

/// A purge as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub id: Uuid,
    pub state: PurgeState,
    pub run: i32,
    pub org: &'a str,
    pub is_dry_run: bool,
    pub reason: Option<&'a str>,
    pub reference: Option<&'a str>,
    /// As JSON; nothing where there are none.
    pub labels: Option<&'a str>,
    pub requested_by: &'a str,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// Why its work waits: a stable word.
    pub blocked_code: Option<&'a str>,
    /// Why the service paused it.
    pub paused_code: Option<&'a str>,
    /// What was done to it last, by whom, why and when.
    pub last_act: Option<(&'a str, &'a str, Option<&'a str>, Timestamp)>,
    pub counts: &'a Tally,
}

impl Row<'_> {
    /// Appends the row with the end of its line.
    pub fn append(&self, list: &mut Vec<u8>) {
        let mut buffer = Uuid::encode_buffer();
        list.extend(self.id.hyphenated().encode_lower(&mut buffer).as_bytes());
        let act = self.last_act;
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let (run, dry_run) = (self.run.to_string(), self.is_dry_run.to_string());
        let times =
            [Some(self.created_at), self.started_at, self.finished_at, act.map(|act| act.3)].map(time);
        // Names and words that callers chose stand among them.
        let texts = [
            self.state.as_str(),
            &run,
            self.org,
            &dry_run,
            self.reason.unwrap_or_default(),
            self.reference.unwrap_or_default(),
            self.labels.unwrap_or_default(),
            self.requested_by,
            &times[0],
            &times[1],
            &times[2],
            self.blocked_code.unwrap_or_default(),
            self.paused_code.unwrap_or_default(),
            act.map(|act| act.0).unwrap_or_default(),
            act.map(|act| act.1).unwrap_or_default(),
            act.and_then(|act| act.2).unwrap_or_default(),
            &times[3],
        ];
        for text in texts {
            list.push(b',');
            append_text(text, list);
        }
        let counts = self.counts;
        let numbers = [
            counts.total,
            counts.duplicates,
            counts.pending,
            counts.eligible,
            counts.submitted,
            counts.purged,
            counts.already_purged,
            counts.on_hold,
            counts.retained,
            counts.not_found,
            counts.active,
            counts.failed,
            counts.canceled,
            counts.would_purge,
        ];
        for number in numbers {
            list.push(b',');
            list.extend(number.to_string().as_bytes());
        }
        list.extend(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::counts::Counts;
    use crate::domain::outcome::Outcome;

    #[test]
    fn a_row_has_a_field_for_each_name_and_no_formula() {
        let mut counts = Counts::default();
        counts[Outcome::Purged] = 7;
        let row = Row {
            id: Uuid::from_u128(7),
            state: PurgeState::Paused,
            run: 1,
            org: "default",
            is_dry_run: false,
            reason: Some("=HYPERLINK(1)"),
            reference: Some("+R"),
            labels: Some(r#"{"=a":"=1"}"#),
            requested_by: "@ops",
            created_at: "2026-11-25T12:00:00Z".parse().unwrap(),
            started_at: None,
            finished_at: None,
            blocked_code: Some("org_stopped"),
            paused_code: None,
            last_act: Some(("pause", "ops", Some("-1"), "2026-11-25T12:00:01Z".parse().unwrap())),
            counts: &Tally::new(&counts, 2),
        };
        let mut list = Vec::new();
        row.append(&mut list);
        let line = String::from_utf8(list).unwrap();
        assert_eq!(
            line,
            concat!(
                "00000000-0000-0000-0000-000000000007,paused,1,default,false,'=HYPERLINK(1),'+R,\"{\"\"=a\"\":\"\"=1\"\"}\",",
                "'@ops,2026-11-25T12:00:00Z,,,org_stopped,,pause,ops,'-1,2026-11-25T12:00:01Z,7,2,0,0,0,7,0,0,0,0,0,0,0,0\r\n"
            )
        );
        assert_eq!(CSV_HEAD.split(',').count(), line.split(',').count());
    }
}
