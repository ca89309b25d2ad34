//! The controls of an org: conversations that are known to exist, by which answers are checked.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::sight::{CONTROLS, Control, Fate, Shown};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// The org's controls, without those that a job carries, or has carried: it may delete them.
async fn known(tx: &mut Tx, org: &str) -> Result<Vec<Control>, StoreError> {
    let rows = sqlx::query!(
        r#"-- known_controls
        select conversation_id as "conversation_id!", missed as "missed!", is_missed_alone as "is_missed_alone!"
        from controls_known
        where org = $1
        order by missed, seen_at desc, conversation_id"#,
        org
    )
    .all(tx)
    .await?;
    let controls = rows.into_iter().map(|row| Control {
        id: row.conversation_id,
        missed: u32::from(row.missed.max(0).unsigned_abs()),
        is_missed_alone: row.is_missed_alone,
    });
    Ok(controls.collect())
}

/// Takes conversations that an answer has just shown among the controls, as far as some are lacking.
pub(in crate::store) async fn offer(tx: &mut Tx, org: &str, seen: &[Uuid]) -> Result<(), StoreError> {
    let known = known(tx, org).await?;
    let fit: HashSet<Uuid> =
        known.iter().filter(|control| control.missed == 0).map(|control| control.id).collect();
    let mut wanted: Vec<Uuid> = seen.iter().filter(|id| !fit.contains(id)).copied().collect();
    wanted.truncate(CONTROLS.saturating_sub(fit.len()));
    if wanted.is_empty() {
        return Ok(());
    }
    // All writers use one order.
    wanted.sort_unstable();
    sqlx::query!(
        "-- offer_controls
        insert into controls (org, conversation_id, seen_at)
        select $1, seen.id, clock_timestamp()
        from unnest($2::uuid[]) as seen (id)
        where not is_no_control($1, seen.id)
        order by seen.id
        on conflict (org, conversation_id) do update
        set seen_at = excluded.seen_at, missed = 0, missed_at = null, is_missed_alone = false",
        org,
        &wanted
    )
    .run(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Records whether an answer showed a control, and drops those that no longer are controls; returns the rest.
    /// Misses less than `gap` apart count once: they may have one short-lived cause.
    pub async fn note_control(
        &self,
        org: &str,
        control: Uuid,
        shown: Shown,
        gap: Duration,
    ) -> Result<Vec<Control>, StoreError> {
        let mut tx = self.begin("note_control").await?;
        let rows = sqlx::query!(
            r#"-- lock_controls
            select conversation_id, missed, coalesce(missed_at > clock_timestamp() - make_interval(secs => $2), false) as "is_counted!"
            from controls
            where org = $1
            order by conversation_id
            for update"#,
            org,
            gap.as_secs_f64()
        )
        .all(&mut tx)
        .await?;
        let known_now = known(&mut tx, org).await?;
        let mut forgotten: Vec<Uuid> = rows.iter().map(|row| row.conversation_id).collect();
        forgotten.retain(|id| known_now.iter().all(|known| known.id != *id));
        let of_answer = known_now.iter().find(|known| known.id == control);
        let is_counted = rows.iter().any(|row| row.conversation_id == control && row.is_counted);
        match of_answer.map(|control| control.fate(shown)) {
            Some(Fate::Seen) => {
                // What was missing before is not seen where others are.
                forgotten.extend(known_now.iter().filter(|c| c.id != control && c.missed > 0).map(|c| c.id));
                note(&mut tx, org, control, None).await?;
            }
            Some(_) if is_counted => {}
            Some(Fate::Missed { alone }) => note(&mut tx, org, control, Some(alone)).await?,
            Some(Fate::Forgotten) => forgotten.push(control),
            None => {}
        }
        if !forgotten.is_empty() {
            tracing::info!(org, conversations = ?forgotten, ?shown, "the conversations that answers were checked by are replaced");
            forget(&mut tx, org, &forgotten).await?;
        }
        let known = known(&mut tx, org).await?;
        tx.commit().await?;
        Ok(known)
    }
}

/// It was seen, or it is missing, and perhaps alone.
async fn note(tx: &mut Tx, org: &str, control: Uuid, missing: Option<bool>) -> Result<(), StoreError> {
    sqlx::query!(
        "-- note_control
        update controls
        set seen_at = case when $3 then seen_at else clock_timestamp() end,
            missed = case when $3 then least(missed + 1, 1000) else 0 end,
            missed_at = case when $3 then clock_timestamp() end, is_missed_alone = $4
        where org = $1 and conversation_id = $2",
        org,
        control,
        missing.is_some(),
        missing.unwrap_or_default()
    )
    .run(tx)
    .await?;
    Ok(())
}

async fn forget(tx: &mut Tx, org: &str, controls: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- forget_controls
        delete from controls where org = $1 and conversation_id = any($2)",
        org,
        controls
    )
    .run(tx)
    .await?;
    Ok(())
}

/// Drops the controls that answers lack: an operator says that they were deleted. Returns how many there were.
pub(super) async fn forget_missing(tx: &mut Tx, org: &str) -> Result<u64, StoreError> {
    sqlx::query!("-- forget_missing_controls\ndelete from controls where org = $1 and missed > 0", org)
        .run(tx)
        .await
}
