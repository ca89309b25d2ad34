//! Everything that this service ever did about one conversation.

use jiff::Timestamp;
use uuid::Uuid;

use super::conversations::outcome_of;
use crate::domain::outcome::{Cell, Outcome};
use crate::store::slices::locate;
use crate::store::tx::Tx;
use crate::store::{Store, StoreError};

/// One purge's part in the history of a conversation.
#[derive(Debug, Clone)]
pub struct ConversationInPurge {
    /// The purge.
    pub purge: Uuid,
    /// Its org.
    pub org: String,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Who asked for it.
    pub requested_by: String,
    /// What became of the conversation.
    pub outcome: Outcome,
    /// The decisions that led there, in order.
    pub decisions: Vec<DecisionRow>,
}

/// One decision.
#[derive(Debug, Clone)]
pub struct DecisionRow {
    /// From this outcome.
    pub from: Outcome,
    /// To that one.
    pub to: Outcome,
    /// By this step.
    pub step: String,
    /// For this reason: a stable word.
    pub code: Option<String>,
    /// More, for a person.
    pub detail: Option<String>,
    /// By this job of ours.
    pub job: Option<Uuid>,
    /// Genesys' id of it.
    pub upstream_job_id: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// What every purge that named the conversation did about it, oldest first.
    pub async fn conversation(&self, conversation: Uuid) -> Result<Vec<ConversationInPurge>, StoreError> {
        let mut tx = self.begin_request("conversation").await?;
        let failed = tx.failed();
        let places = sqlx::query!(
            "-- conversation
            select c.purge_id, c.ordinal, p.org, p.created_at, p.requested_by
            from conversations c
            join purges p on p.id = c.purge_id
            where c.conversation_id = $1
            order by c.purge_id",
            conversation
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
        let mut history = Vec::new();
        for row in places {
            let (slice_no, position) = locate(row.ordinal);
            history.push(ConversationInPurge {
                purge: row.purge_id,
                org: row.org,
                accepted_at: row.created_at.to_jiff(),
                requested_by: row.requested_by,
                outcome: outcome_at(&mut tx, row.purge_id, slice_no, position).await?,
                decisions: decisions_about(&mut tx, row.purge_id, slice_no, position).await?,
            });
        }
        Ok(history)
    }
}

async fn outcome_at(tx: &mut Tx, purge: Uuid, slice_no: i32, position: usize) -> Result<Outcome, StoreError> {
    let failed = tx.failed();
    let byte = sqlx::query_scalar!(
        r#"-- outcome_at
        select get_byte(outcomes, $3) as "byte!" from slices where purge_id = $1 and slice_no = $2"#,
        purge,
        slice_no,
        i32::try_from(position).unwrap_or(i32::MAX)
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(failed)?;
    u8::try_from(byte)
        .ok()
        .and_then(Cell::from_byte)
        .map(|cell| cell.outcome)
        .ok_or_else(|| StoreError::Unreadable { what: "outcome", detail: byte.to_string() })
}

async fn decisions_about(
    tx: &mut Tx,
    purge: Uuid,
    slice_no: i32,
    position: usize,
) -> Result<Vec<DecisionRow>, StoreError> {
    let failed = tx.failed();
    let rows = sqlx::query!(
        r#"-- decisions_about
        select d.from_outcome, d.to_outcome, d.step, d.code, d.detail, d.job_id, d.decided_at,
               j.upstream_job_id as "upstream_job_id?"
        from decisions d
        left join jobs j on j.id = d.job_id
        where d.purge_id = $1 and d.slice_no = $2 and $3 = any(d.positions)
        order by d.id"#,
        purge,
        slice_no,
        i16::try_from(position).unwrap_or(i16::MAX)
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(failed)?;
    rows.into_iter()
        .map(|row| {
            Ok(DecisionRow {
                from: outcome_of(row.from_outcome)?,
                to: outcome_of(row.to_outcome)?,
                step: row.step,
                code: row.code,
                detail: row.detail,
                job: row.job_id,
                upstream_job_id: row.upstream_job_id,
                at: row.decided_at.to_jiff(),
            })
        })
        .collect()
}
