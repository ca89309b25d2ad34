//! Reads one purge: the same few bytes, however many conversations it has.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::counts::{Counts, Tally};
use crate::domain::outcome::Outcome;
use crate::domain::state::PurgeState;
use crate::store::error::word;
use crate::store::{Store, StoreError};

/// A purge as it stands.
#[derive(Debug, Clone)]
pub struct Purge {
    /// Its id.
    pub id: Uuid,
    /// Where it stands.
    pub state: PurgeState,
    /// Which run it is in.
    pub run: i32,
    /// Its org.
    pub org: String,
    /// Why it was asked for.
    pub reason: Option<String>,
    /// The caller's own name for it.
    pub reference: Option<String>,
    /// The caller's labels.
    pub labels: Value,
    /// It only asks what would be purged.
    pub is_dry_run: bool,
    /// How its conversations stand.
    pub counts: Tally,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first question was asked.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub finished_at: Option<Timestamp>,
    /// The name of the key that asked for it.
    pub requested_by: String,
    /// Why its org's work waits, if it does: code and sentence.
    pub blocked: Option<(String, String)>,
    /// When this was read.
    pub read_at: Timestamp,
}

impl Purge {
    /// The purge as it was when it was accepted: the answer to the request for it and to every repeat of that.
    #[must_use]
    pub fn as_accepted(self) -> Self {
        let mut counts = Counts::default();
        counts[Outcome::Pending] = self.counts.total;
        Self {
            state: PurgeState::Queued,
            run: 1,
            counts: Tally::new(&counts, self.counts.duplicates),
            started_at: None,
            finished_at: None,
            blocked: None,
            ..self
        }
    }
}

impl Store {
    /// One purge.
    pub async fn purge(&self, id: Uuid) -> Result<Option<Purge>, StoreError> {
        let mut tx = self.begin_request("purge").await?;
        let failed = tx.failed();
        let row = sqlx::query!(
            r#"-- purge
            select p.id, p.state::text as "state!", p.run, p.org, p.reason, p.reference, p.labels, p.dry_run,
                   p.created_at, p.started_at, p.finished_at, p.requested_by, p.duplicates, p.pending, p.eligible,
                   p.submitted, p.purged, p.already_purged, p.on_hold, p.retained, p.not_found, p.active, p.failed,
                   p.canceled, p.would_purge, o.blocked_code, o.blocked_detail,
                   o.stopped_by, o.stopped_reason,
                   clock_timestamp() as "read_at!: SqlTimestamp"
            from purges p
            join orgs o on o.name = p.org
            where p.id = $1"#,
            id
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let mut counts = Counts::default();
        counts[Outcome::Pending] = row.pending;
        counts[Outcome::Eligible] = row.eligible;
        counts[Outcome::Submitted] = row.submitted;
        counts[Outcome::Purged] = row.purged;
        counts[Outcome::AlreadyPurged] = row.already_purged;
        counts[Outcome::OnHold] = row.on_hold;
        counts[Outcome::Retained] = row.retained;
        counts[Outcome::NotFound] = row.not_found;
        counts[Outcome::Active] = row.active;
        counts[Outcome::Failed] = row.failed;
        counts[Outcome::Canceled] = row.canceled;
        counts[Outcome::WouldPurge] = row.would_purge;
        let state: PurgeState = word("state of a purge", &row.state)?;
        let stopped = row.stopped_by.map(|by| {
            let reason = row.stopped_reason.map_or_else(String::new, |reason| format!(": {reason}"));
            ("org_stopped".to_owned(), format!("{by} stopped the org{reason}; it goes on when it is resumed"))
        });
        Ok(Some(Purge {
            id: row.id,
            state,
            run: row.run,
            org: row.org,
            reason: row.reason,
            reference: row.reference,
            labels: row.labels,
            is_dry_run: row.dry_run,
            counts: Tally::new(&counts, row.duplicates),
            created_at: row.created_at.to_jiff(),
            started_at: row.started_at.map(SqlTimestamp::to_jiff),
            finished_at: row.finished_at.map(SqlTimestamp::to_jiff),
            requested_by: row.requested_by,
            blocked: stopped.or(row.blocked_code.zip(row.blocked_detail)).filter(|_| !state.is_final()),
            read_at: row.read_at.to_jiff(),
        }))
    }
}
