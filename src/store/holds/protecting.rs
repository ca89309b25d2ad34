//! Which hold protected a conversation when its outcome was decided.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use crate::domain::outcome::Outcome;
use crate::domain::reason::codes;
use crate::store::StoreError;
use crate::store::tx::{Rows as _, Tx};

/// The holds that protected a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// The oldest of them.
    pub hold: Uuid,
    /// Its matter.
    pub matter: String,
    /// How many there were, counted up to [`MOST`].
    pub holds: i64,
}

/// Maximum holds that are counted per conversation.
pub const MOST: i64 = 10;

/// A conversation that was found to be held.
#[derive(Debug, Clone)]
pub(in crate::store) struct Kept {
    pub(in crate::store) org: String,
    pub(in crate::store) conversation: Uuid,
    /// When that was decided.
    pub(in crate::store) at: Timestamp,
}

/// A hold of ours is why it has this outcome.
pub(in crate::store) fn is_kept_by_hold(outcome: Outcome, code: Option<&str>) -> bool {
    outcome == Outcome::OnHold && code == Some(&codes::LEGAL_HOLD.code)
}

/// For each of these conversations, the holds that protected it at that time, whatever their state now. A caller that
/// may see a conversation of an org may see the holds of that org.
pub(in crate::store) async fn protecting(
    tx: &mut Tx,
    kept: &[Kept],
) -> Result<Vec<Option<Protection>>, StoreError> {
    let rows = sqlx::query!(
        r#"-- protecting
        select found.hold, found.matter, found.holds as "holds!"
        from unnest($1::text[], $2::uuid[], $3::timestamptz[]) with ordinality as k (org, conversation_id, at, n)
        cross join lateral (
            select count(*) as holds, (array_agg(hold_id order by hold_id))[1] as hold,
                   (array_agg(matter order by hold_id))[1] as matter
            from (
                select hc.hold_id, h.matter
                from hold_conversations hc
                cross join lateral (
                    select matter from holds
                    where id = hc.hold_id and created_at <= k.at and (active or released_at >= k.at)
                    -- One at a time: no plan reads holds that do not name it.
                    offset 0
                ) h
                where hc.conversation_id = k.conversation_id and hc.org = k.org
                order by hc.hold_id
                limit $4
            ) protecting
        ) found
        order by k.n"#,
        &kept.iter().map(|kept| kept.org.clone()).collect::<Vec<_>>(),
        &kept.iter().map(|kept| kept.conversation).collect::<Vec<_>>(),
        &kept.iter().map(|kept| kept.at.to_sqlx()).collect::<Vec<_>>() as _,
        MOST
    )
    .all(tx)
    .await?;
    crate::store::error::ensure_rows("protecting", rows.len() as u64, kept.len())?;
    let found = rows.into_iter().map(|row| {
        let (hold, matter) = row.hold.zip(row.matter)?;
        Some(Protection { hold, matter, holds: row.holds })
    });
    Ok(found.collect())
}
