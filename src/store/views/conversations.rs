//! The conversations of a purge, in the order of the request, a page at a time.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use super::slices::{SLICES_AT_ONCE, slices_from};
use crate::domain::keys::Reach;
use crate::domain::outcome::{Cell, Outcome};
use crate::domain::reason::{Carrying, carrying, is_of_lost_submit, kept_until};
use crate::store::holds::protecting::{Kept, Protection, is_kept_by_hold, protecting};
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError, Urgency};

/// One conversation of a purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRow {
    /// Its position in the purge, from 0.
    pub ordinal: i32,
    pub conversation_id: Uuid,
    /// Its outcome.
    pub outcome: Outcome,
    /// Why, and when that was decided; nothing while it is as it was accepted.
    pub decided: Option<Arc<Decided>>,
    /// Genesys' id of the last job that carried it, if known.
    pub upstream_job_id: Option<Arc<str>>,
    /// Our holds that protected it, if any.
    pub protection: Option<Protection>,
}

/// The last decision about a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The outcome that it led to.
    pub outcome: Outcome,
    pub code: Option<String>,
    /// More, for a person.
    pub detail: Option<String>,
    pub at: Timestamp,
}

/// Maximum rounds per page, so that a filter that matches little answers soon; one for outcomes that no index finds.
const ROUNDS: usize = 50;

/// Some conversations of a purge, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Those that the filter lets through.
    pub rows: Vec<ConversationRow>,
    /// The ordinal to go on with, unless these were the last.
    pub next: Option<i32>,
}

impl Store {
    /// Up to `limit` conversations after the ordinal `after`, and the ordinal to go on after, unless this was all; `None`
    /// where there is no such purge within the reach.
    pub async fn conversations(
        &self,
        reach: &Reach,
        purge: Uuid,
        outcome: Option<Outcome>,
        after: Option<i32>,
        limit: usize,
    ) -> Result<Option<(Vec<ConversationRow>, Option<i32>)>, StoreError> {
        let mut tx = self.begin_request("conversations").await?;
        let is_open = sqlx::query_scalar!(
            r#"-- is_open
            select finished_at is null as "is_open!" from purges
            where id = $1 and ($2::text[] is null or org = any($2))"#,
            purge,
            reach.orgs()
        )
        .maybe(&mut tx)
        .await?;
        drop(tx);
        match is_open {
            None => return Ok(None),
            Some(false) if outcome.is_some_and(|outcome| !outcome.is_final()) => {
                return Ok(Some((Vec::new(), None)));
            }
            Some(_) => {}
        }
        let mut next = after.map_or(0, |after| after.saturating_add(1));
        let mut page = Vec::new();
        for _ in 0..ROUNDS {
            let scanned = self.scan_conversations(reach, purge, outcome, next).await?;
            for row in scanned.rows {
                if page.len() == limit {
                    let last = page.last().map(|row: &ConversationRow| row.ordinal);
                    return Ok(Some((page, last)));
                }
                page.push(row);
            }
            match scanned.next {
                Some(on) => next = on,
                None => return Ok(Some((page, None))),
            }
        }
        Ok(Some((page, Some(next - 1))))
    }

    /// The conversations from the ordinal `next` on in the next few slices: one short transaction.
    pub async fn scan_conversations(
        &self,
        reach: &Reach,
        purge: Uuid,
        outcome: Option<Outcome>,
        next: i32,
    ) -> Result<Scanned, StoreError> {
        let mut tx = self.begin_request("scan_conversations").await?;
        let slices = slices_from(&mut tx, reach, purge, outcome, next).await?;
        let is_wanted = |found: Outcome| outcome.is_none_or(|outcome| outcome == found);
        let numbers: Vec<i32> = slices
            .iter()
            .filter(|slice| slice.outcomes.iter().any(|outcome| outcome.is_none_or(is_wanted)))
            .map(|slice| slice.no)
            .collect();
        let mut decided = decisions_on(&mut tx, purge, &numbers).await?;
        drop(tx);
        let is_last = i64::try_from(slices.len()).unwrap_or(i64::MAX) < SLICES_AT_ONCE;
        let org = slices.first().map(|slice| slice.org.clone()).unwrap_or_default();
        let scanned_to = slices.last().map(|slice| ordinal(slice.no + 1, 0));
        let mut rows = Vec::new();
        for slice in slices {
            let last = last_decisions(&slice.outcomes, &decided.remove(&slice.no).unwrap_or_default());
            let outcomes = slice.ids.into_iter().zip(slice.outcomes).zip(last);
            for (position, ((conversation_id, outcome), Last { decided, upstream_job_id, .. })) in
                outcomes.enumerate()
            {
                let ordinal = ordinal(slice.no, position);
                let told = decided.as_ref().map_or(Cell::NEW.outcome, |decided| decided.outcome);
                let outcome = outcome.unwrap_or(told);
                if ordinal >= next && is_wanted(outcome) {
                    rows.push(ConversationRow {
                        ordinal,
                        conversation_id,
                        outcome,
                        decided,
                        upstream_job_id,
                        protection: None,
                    });
                }
            }
        }
        self.tell_protection(&org, &mut rows).await?;
        Ok(Scanned { rows, next: scanned_to.filter(|_| !is_last) })
    }

    /// Names the holds that kept some of the conversations back.
    async fn tell_protection(&self, org: &str, rows: &mut [ConversationRow]) -> Result<(), StoreError> {
        let kept = |row: &ConversationRow| {
            let decided = row.decided.as_ref()?;
            let kept = Kept { org: org.to_owned(), conversation: row.conversation_id, at: decided.at };
            Some(kept).filter(|_| is_kept_by_hold(row.outcome, decided.code.as_deref()))
        };
        let (mut those, wanted): (Vec<_>, Vec<_>) =
            rows.iter_mut().filter_map(|row| kept(row).map(|kept| (row, kept))).unzip();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut tx = self.single_request("protecting", Urgency::Ordinary).await?;
        for (row, protection) in those.iter_mut().zip(protecting(&mut tx, &wanted).await?) {
            row.protection = protection;
        }
        Ok(())
    }

    /// The ordinal of a conversation in a purge; `None` where no such purge within the reach names it.
    pub async fn ordinal_of(
        &self,
        reach: &Reach,
        purge: Uuid,
        conversation: Uuid,
    ) -> Result<Option<i32>, StoreError> {
        let mut tx = self.begin_request("ordinal_of").await?;
        sqlx::query_scalar!(
            "-- ordinal_of
            select c.ordinal
            from conversations c
            join purges p on p.id = c.purge_id
            where c.conversation_id = $1 and c.purge_id = $2 and ($3::text[] is null or p.org = any($3))",
            conversation,
            purge,
            reach.orgs()
        )
        .maybe(&mut tx)
        .await
    }
}

fn ordinal(slice_no: i32, position: usize) -> i32 {
    let size = i32::try_from(crate::domain::SLICE_SIZE).unwrap_or(i32::MAX);
    slice_no.saturating_mul(size).saturating_add(i32::try_from(position).unwrap_or_default())
}

/// A decision about some conversations of a slice.
struct Decision {
    positions: Vec<i16>,
    /// Until when each is kept, in their order; empty where the detail is that of all.
    kept_until: Vec<SqlTimestamp>,
    decided: Arc<Decided>,
    carrying: Carrying,
    is_of_lost_submit: bool,
    /// Genesys' id of its job, if known.
    upstream_job_id: Option<Arc<str>>,
}

impl Decision {
    /// What it says of the conversation at its `nth` position.
    fn about(&self, nth: usize) -> Arc<Decided> {
        match self.kept_until.get(nth) {
            None => Arc::clone(&self.decided),
            Some(until) => {
                let detail = Some(kept_until(until.to_jiff()));
                Arc::new(Decided { detail, ..self.decided.as_ref().clone() })
            }
        }
    }
}

/// The decisions about each of the slices, oldest first.
async fn decisions_on(
    tx: &mut Tx,
    purge: Uuid,
    slices: &[i32],
) -> Result<HashMap<i32, Vec<Decision>>, StoreError> {
    let mut decisions = HashMap::<i32, Vec<Decision>>::new();
    if slices.is_empty() {
        return Ok(decisions);
    }
    let rows = sqlx::query!(
        r#"-- decisions_on
        select d.slice_no, d.positions, d.from_outcome, d.to_outcome, d.step, d.code, d.detail, d.decided_at,
               d.kept_until as "kept_until: Vec<SqlTimestamp>",
               j.upstream_job_id as "upstream_job_id?"
        from unnest($2::int[]) as wanted (no)
        -- Each by its key: no plan reads all that a purge decided, or all jobs, for the few slices of a page.
        cross join lateral (
            select * from decisions where purge_id = $1 and slice_no = wanted.no
            offset 0
        ) d
        left join lateral (select upstream_job_id from jobs where id = d.job_id offset 0) j on true
        order by d.id"#,
        purge,
        slices
    )
    .all(tx)
    .await?;
    for row in rows {
        let decided = Decided {
            outcome: outcome_of(row.to_outcome)?,
            code: row.code,
            detail: row.detail,
            at: SqlTimestamp::to_jiff(row.decided_at),
        };
        let decision = Decision {
            carrying: carrying(&row.step, outcome_of(row.from_outcome)?, decided.outcome),
            is_of_lost_submit: is_of_lost_submit(&row.step, outcome_of(row.from_outcome)?),
            positions: row.positions,
            kept_until: row.kept_until.unwrap_or_default(),
            decided: Arc::new(decided),
            upstream_job_id: row.upstream_job_id.map(Arc::from),
        };
        decisions.entry(row.slice_no).or_default().push(decision);
    }
    Ok(decisions)
}

/// The result of the decisions about a conversation.
#[derive(Debug, Clone, Default)]
struct Last {
    /// The last one that led to its outcome.
    decided: Option<Arc<Decided>>,
    /// That of the job that carried it last, whatever has ended it.
    upstream_job_id: Option<Arc<str>>,
    /// And of the one before: where the last job was refused, that has carried nothing.
    before: Option<Arc<str>>,
}

/// The result of the decisions, for each conversation of a slice.
///
/// The decisions are read after the outcomes: one that came in between tells of an outcome that was not read.
fn last_decisions(outcomes: &[Option<Outcome>], decisions: &[Decision]) -> Vec<Last> {
    let mut last = vec![Last::default(); outcomes.len()];
    for decision in decisions {
        for (nth, &position) in decision.positions.iter().enumerate() {
            let Ok(position) = usize::try_from(position) else { continue };
            let Some((outcome, last)) = outcomes.get(position).zip(last.get_mut(position)) else { continue };
            if outcome.is_none_or(|outcome| outcome == decision.decided.outcome) {
                last.decided = Some(decision.about(nth));
            }
            match decision.carrying {
                Carrying::Begins => {
                    let job = decision.upstream_job_id.clone();
                    last.before = std::mem::replace(&mut last.upstream_job_id, job);
                }
                Carrying::Undone => last.upstream_job_id = last.before.take(),
                Carrying::Unchanged if decision.is_of_lost_submit => last.upstream_job_id = None,
                Carrying::Unchanged => {}
            }
        }
    }
    last
}

/// Reads the number of an outcome.
pub(super) fn outcome_of(code: i16) -> Result<Outcome, StoreError> {
    u8::try_from(code)
        .ok()
        .and_then(Outcome::from_code)
        .ok_or_else(|| StoreError::Unreadable { what: "outcome", detail: code.to_string() })
}
