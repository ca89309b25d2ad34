//! The slices of a purge that a page of its conversations is read from.

use uuid::Uuid;

use crate::domain::keys::Reach;
use crate::domain::outcome::{Cell, Outcome};
use crate::store::StoreError;
use crate::store::slices::locate;
use crate::store::tx::{Rows as _, Tx};

/// How many slices are read at once; a filter may need several rounds.
pub(super) const SLICES_AT_ONCE: i64 = 4;

/// A slice as it is read.
pub(super) struct Slice {
    pub(super) no: i32,
    pub(super) org: String,
    pub(super) ids: Vec<Uuid>,
    /// `None` if the byte can't be read: then the decisions have the outcome.
    pub(super) outcomes: Vec<Option<Outcome>>,
}

struct SliceRow {
    slice_no: i32,
    org: String,
    ids: Vec<Uuid>,
    outcomes: Vec<u8>,
}

impl From<SliceRow> for Slice {
    fn from(row: SliceRow) -> Self {
        let outcome = |byte: &u8| Cell::from_byte(*byte).map(|cell| cell.outcome);
        Self {
            no: row.slice_no,
            org: row.org,
            ids: row.ids,
            outcomes: row.outcomes.iter().map(outcome).collect(),
        }
    }
}

/// The slices from that of the ordinal on; where one final outcome is wanted, those with a decision that led there.
pub(super) async fn slices_from(
    tx: &mut Tx,
    reach: &Reach,
    purge: Uuid,
    outcome: Option<Outcome>,
    ordinal: i32,
) -> Result<Vec<Slice>, StoreError> {
    let (first, _) = locate(ordinal);
    let rows = if let Some(outcome) = outcome.filter(|outcome| outcome.is_final()) {
        sqlx::query_as!(
            SliceRow,
            r#"-- conversations_of_outcome
            select s.slice_no, s.org, s.ids, s.outcomes
            from (
                -- In the words of `decisions_by_outcome`, so that no other index serves.
                select distinct slice_no + 0 as slice_no from decisions
                where purge_id = $1 and to_outcome = $5 and to_outcome >= 3 and slice_no + 0 >= $2
                order by slice_no + 0
                limit $3
            ) decided
            cross join lateral (
                select slice_no, org, ids, outcomes from slices
                where purge_id = $1 and slice_no = decided.slice_no and ($4::text[] is null or org = any($4))
                offset 0
            ) s
            order by s.slice_no"#,
            purge,
            first,
            SLICES_AT_ONCE,
            reach.orgs() as _,
            i16::from(outcome.code())
        )
        .all(tx)
        .await
    } else {
        sqlx::query_as!(
            SliceRow,
            "-- conversations
            select slice_no, org, ids, outcomes from slices
            where purge_id = $1 and slice_no >= $2 and ($4::text[] is null or org = any($4))
            order by slice_no
            limit $3",
            purge,
            first,
            SLICES_AT_ONCE,
            reach.orgs() as _
        )
        .all(tx)
        .await
    };
    Ok(rows?.into_iter().map(Slice::from).collect())
}
