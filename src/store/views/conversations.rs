//! The conversations of a purge, in the order of the request, a page at a time.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use crate::domain::outcome::{Cell, Outcome};
use crate::store::slices::locate;
use crate::store::tx::Tx;
use crate::store::{Store, StoreError};

/// One conversation of a purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRow {
    /// Its position in the purge, from 0.
    pub ordinal: i32,
    /// Its id.
    pub conversation_id: Uuid,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, and when that was decided; nothing while it is as it was accepted.
    pub decided: Option<Decided>,
}

/// The last decision about a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The outcome that it led to.
    pub outcome: Outcome,
    /// A stable word.
    pub code: Option<String>,
    /// More, for a person.
    pub detail: Option<String>,
    /// Genesys' id of the job that carried it, where one did and is known.
    pub upstream_job_id: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// So many slices are read at once; a filter may need several rounds.
const SLICES_AT_ONCE: i64 = 4;

/// So many rounds are made for one page, so that a filter that matches nothing answers soon all the same.
const ROUNDS: usize = 50;

impl Store {
    /// Up to `limit` conversations after the ordinal `after`, and the ordinal to go on after, unless this was all.
    pub async fn conversations(
        &self,
        purge: Uuid,
        outcome: Option<Outcome>,
        after: Option<i32>,
        limit: usize,
    ) -> Result<(Vec<ConversationRow>, Option<i32>), StoreError> {
        let mut next = after.map_or(0, |after| after.saturating_add(1));
        let mut page = Vec::new();
        for _ in 0..ROUNDS {
            let (rows, scanned_to, is_last) = self.scan(purge, outcome, next).await?;
            for row in rows {
                if page.len() == limit {
                    let last = page.last().map(|row: &ConversationRow| row.ordinal);
                    return Ok((page, last));
                }
                page.push(row);
            }
            if is_last {
                return Ok((page, None));
            }
            next = scanned_to;
        }
        Ok((page, Some(next - 1)))
    }

    /// The conversations from `next` on in the next few slices, the ordinal after them, and whether those were the last.
    async fn scan(
        &self,
        purge: Uuid,
        outcome: Option<Outcome>,
        next: i32,
    ) -> Result<(Vec<ConversationRow>, i32, bool), StoreError> {
        let mut tx = self.begin_request("conversations").await?;
        let (first_slice, _) = locate(next);
        let failed = tx.failed();
        let slices = sqlx::query!(
            "-- conversations
            select slice_no, ids, outcomes from slices
            where purge_id = $1 and slice_no >= $2
            order by slice_no
            limit $3",
            purge,
            first_slice,
            SLICES_AT_ONCE
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
        let is_last = i64::try_from(slices.len()).unwrap_or(i64::MAX) < SLICES_AT_ONCE;
        let numbers: Vec<i32> = slices.iter().map(|slice| slice.slice_no).collect();
        let decided = last_decisions(&mut tx, purge, &numbers).await?;
        let slice_size = i32::try_from(crate::domain::SLICE_SIZE).unwrap_or(i32::MAX);
        let mut rows = Vec::new();
        for slice in &slices {
            for (position, (&conversation_id, &byte)) in slice.ids.iter().zip(&slice.outcomes).enumerate() {
                let ordinal = slice.slice_no * slice_size + i32::try_from(position).unwrap_or_default();
                let cell = Cell::from_byte(byte).ok_or(StoreError::Unreadable {
                    what: "outcomes of a slice",
                    detail: format!("slice {} of purge {purge}", slice.slice_no),
                })?;
                if ordinal >= next && outcome.is_none_or(|outcome| outcome == cell.outcome) {
                    let decided = decided.get(&(slice.slice_no, position)).cloned();
                    rows.push(ConversationRow { ordinal, conversation_id, outcome: cell.outcome, decided });
                }
            }
        }
        let scanned_to = numbers.last().map_or(next, |last| (last + 1) * slice_size);
        Ok((rows, scanned_to, is_last))
    }
}

/// The last decision about each conversation of some slices.
async fn last_decisions(
    tx: &mut Tx,
    purge: Uuid,
    slices: &[i32],
) -> Result<HashMap<(i32, usize), Decided>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query!(
        r#"-- last_decisions
        select d.slice_no, d.positions, d.to_outcome, d.code, d.detail, d.decided_at, j.upstream_job_id as "upstream_job_id?"
        from decisions d
        left join jobs j on j.id = d.job_id
        where d.purge_id = $1 and d.slice_no = any($2)
        order by d.id"#,
        purge,
        slices
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(failed)?;
    let mut decided = HashMap::new();
    for row in rows {
        let last = Decided {
            outcome: outcome_of(row.to_outcome)?,
            code: row.code,
            detail: row.detail,
            upstream_job_id: row.upstream_job_id,
            at: SqlTimestamp::to_jiff(row.decided_at),
        };
        for position in row.positions.into_iter().filter_map(|position| usize::try_from(position).ok()) {
            decided.insert((row.slice_no, position), last.clone());
        }
    }
    Ok(decided)
}

/// Reads the number of an outcome.
pub(super) fn outcome_of(code: i16) -> Result<Outcome, StoreError> {
    u8::try_from(code)
        .ok()
        .and_then(Outcome::from_code)
        .ok_or_else(|| StoreError::Unreadable { what: "outcome", detail: code.to_string() })
}
