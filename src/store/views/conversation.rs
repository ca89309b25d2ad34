//! Everything that this service ever did about one conversation, a page of purges at a time.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use super::conversations::outcome_of;
use crate::domain::keys::Reach;
use crate::domain::outcome::{Cell, Outcome};
use crate::domain::reason::{Carrying, Step, carrying, is_of_lost_submit, kept_until};
use crate::store::holds::protecting::{Kept, Protection, is_kept_by_hold, protecting};
use crate::store::slices::locate;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// One purge's part in the history of a conversation.
#[derive(Debug, Clone)]
pub struct ConversationInPurge {
    pub purge: Uuid,
    pub org: String,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Who asked for it.
    pub requested_by: String,
    /// The reason, if one was given.
    pub reason: Option<String>,
    /// The caller's own name for it.
    pub reference: Option<String>,
    /// The outcome of the conversation.
    pub outcome: Outcome,
    /// Our holds that protected it, if any.
    pub protection: Option<Protection>,
    /// The decisions that led there, in order.
    pub decisions: Vec<DecisionRow>,
}

#[derive(Debug, Clone)]
pub struct DecisionRow {
    pub from: Outcome,
    pub to: Outcome,
    pub step: String,
    /// For this reason: a stable word.
    pub code: Option<String>,
    /// More, for a person.
    pub detail: Option<String>,
    /// By this job of ours.
    pub job: Option<Uuid>,
    /// Genesys' id of it.
    pub upstream_job_id: Option<String>,
    pub at: Timestamp,
}

/// A purge that named the conversation, and where.
struct Place {
    purge_id: Uuid,
    ordinal: i32,
    org: String,
    created_at: SqlTimestamp,
    requested_by: String,
    reason: Option<String>,
    reference: Option<String>,
}

impl Store {
    /// What up to `limit` purges within the reach that named the conversation did about it: those with ids after `after`,
    /// oldest first.
    pub async fn conversation(
        &self,
        reach: &Reach,
        conversation: Uuid,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<ConversationInPurge>, StoreError> {
        let mut tx = self.begin_request("conversation").await?;
        let places = sqlx::query_as!(
            Place,
            "-- conversation
            select c.purge_id, c.ordinal, p.org, p.created_at, p.requested_by, p.reason, p.reference
            from conversations c
            cross join lateral (
                select org, created_at, requested_by, reason, reference from purges
                where id = c.purge_id and ($3::text[] is null or org = any($3))
                -- One at a time, until the page is full: no plan reads purges that do not name it.
                offset 0
            ) p
            where c.conversation_id = $1 and c.purge_id > $2
            order by c.purge_id
            limit $4",
            conversation,
            after.unwrap_or_default(),
            reach.orgs(),
            limit
        )
        .all(&mut tx)
        .await?;
        let located: Vec<(Uuid, i32, usize)> = places
            .iter()
            .map(|row| {
                let (slice_no, position) = locate(row.ordinal);
                (row.purge_id, slice_no, position)
            })
            .collect();
        let mut decided = decisions_about(&mut tx, &located).await?;
        let in_purge = |row: Place| {
            let decisions = decided.remove(&row.purge_id).unwrap_or_default();
            ConversationInPurge {
                purge: row.purge_id,
                org: row.org,
                accepted_at: row.created_at.to_jiff(),
                requested_by: row.requested_by,
                reason: row.reason,
                reference: row.reference,
                // Read with the decisions, so that the two agree.
                outcome: decisions.last().map_or(Cell::NEW.outcome, |last| last.to),
                protection: None,
                decisions,
            }
        };
        let mut purges: Vec<_> = places.into_iter().map(in_purge).collect();
        tell_protection(&mut tx, conversation, &mut purges).await?;
        Ok(purges)
    }
}

/// The decisions about the conversation in each purge, oldest first.
async fn decisions_about(
    tx: &mut Tx,
    located: &[(Uuid, i32, usize)],
) -> Result<HashMap<Uuid, Vec<DecisionRow>>, StoreError> {
    let positions: Vec<i16> =
        located.iter().map(|(.., position)| i16::try_from(*position).unwrap_or(i16::MAX)).collect();
    let rows = sqlx::query!(
        r#"-- decisions_about
        select d.purge_id, d.from_outcome, d.to_outcome, d.step, d.code, d.detail, d.job_id, d.decided_at,
               d.kept_until[array_position(d.positions, c.position)] as "kept_until: SqlTimestamp",
               j.upstream_job_id as "upstream_job_id?"
        from unnest($1::uuid[], $2::int[], $3::smallint[]) as c (purge_id, slice_no, position)
        -- Each by its key: no plan reads all that a purge decided, or all jobs, for a few slices.
        cross join lateral (
            select * from decisions where purge_id = c.purge_id and slice_no = c.slice_no
            offset 0
        ) d
        left join lateral (select upstream_job_id from jobs where id = d.job_id offset 0) j on true
        where c.position = any(d.positions)
        order by d.id"#,
        &located.iter().map(|(purge, ..)| *purge).collect::<Vec<_>>(),
        &located.iter().map(|(_, slice_no, _)| *slice_no).collect::<Vec<_>>(),
        &positions
    )
    .all(tx)
    .await?;
    let mut decided = HashMap::<Uuid, Vec<DecisionRow>>::new();
    for row in rows {
        let decision = DecisionRow {
            from: outcome_of(row.from_outcome)?,
            to: outcome_of(row.to_outcome)?,
            step: row.step,
            code: row.code,
            detail: row.kept_until.map(|until| kept_until(until.to_jiff())).or(row.detail),
            job: row.job_id,
            upstream_job_id: row.upstream_job_id,
            at: row.decided_at.to_jiff(),
        };
        decided.entry(row.purge_id).or_default().push(decision);
    }
    for decisions in decided.values_mut() {
        forget_refused(decisions);
    }
    Ok(decided)
}

/// Adds the holds that protected the conversation in these purges.
async fn tell_protection(
    tx: &mut Tx,
    conversation: Uuid,
    purges: &mut [ConversationInPurge],
) -> Result<(), StoreError> {
    let kept = |purge: &ConversationInPurge| {
        let last = purge.decisions.last()?;
        let kept = Kept { org: purge.org.clone(), conversation, at: last.at };
        Some(kept).filter(|_| is_kept_by_hold(last.to, last.code.as_deref()))
    };
    let (mut those, wanted): (Vec<_>, Vec<_>) =
        purges.iter_mut().filter_map(|purge| kept(purge).map(|kept| (purge, kept))).unzip();
    if wanted.is_empty() {
        return Ok(());
    }
    for (purge, protection) in those.iter_mut().zip(protecting(tx, &wanted).await?) {
        purge.protection = protection;
    }
    Ok(())
}

/// Genesys' id is that of the submit that it took: a submit that was refused or lost has none, though the job has one when it
/// was sent again, and neither has what left the job before.
fn forget_refused(decisions: &mut [DecisionRow]) {
    // From the intent on that the job's id belongs to, as far as is known yet.
    let mut carried = HashMap::<Uuid, Option<usize>>::new();
    for (nth, decision) in decisions.iter().enumerate() {
        let Some(job) = decision.job else { continue };
        match carrying(&decision.step, decision.from, decision.to) {
            Carrying::Begins => carried.insert(job, Some(nth)),
            Carrying::Undone => carried.insert(job, None),
            Carrying::Unchanged if is_of_lost_submit(&decision.step, decision.from) => {
                carried.insert(job, None)
            }
            Carrying::Unchanged => continue,
        };
    }
    let before = [Step::Pack, Step::Recheck, Step::Intend].map(Step::as_str);
    for (nth, decision) in decisions.iter_mut().enumerate() {
        let is_of_the_submit = match decision.job.and_then(|job| carried.get(&job)) {
            Some(from) => from.is_some_and(|from| nth >= from),
            None => !before.contains(&decision.step.as_str()),
        };
        if !is_of_the_submit {
            decision.upstream_job_id = None;
        }
    }
}
