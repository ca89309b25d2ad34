//! Lists holds, newest first, and the conversations of one. The filter decides which index is used; each begins with
//! the org, so that the holds of other orgs cost nothing.

use uuid::Uuid;

use super::read::{Hold, load};
use crate::domain::keys::Reach;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// Which holds are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Those that name it.
    pub conversation: Option<Uuid>,
    /// Those in force, or those that were released.
    pub is_active: Option<bool>,
}

/// A conversation that a hold names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldConversation {
    pub conversation: Uuid,
    /// It is gone, or a job may be deleting it.
    pub is_too_late: bool,
}

impl Store {
    /// Up to `limit` of the conversations that a hold names within the reach, after `after`.
    pub async fn held_conversations(
        &self,
        reach: &Reach,
        hold: Uuid,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<HeldConversation>, StoreError> {
        let mut tx = self.begin_request("held_conversations").await?;
        let ids = sqlx::query_scalar!(
            "-- held_conversations
            select distinct conversation_id from hold_conversations
            where hold_id = $1 and conversation_id > $2 and ($3::text[] is null or org = any($3))
            order by conversation_id
            limit $4",
            hold,
            after.unwrap_or(Uuid::nil()),
            reach.orgs(),
            limit
        )
        .all(&mut tx)
        .await?;
        sqlx::query_as!(
            HeldConversation,
            r#"-- fate_of_held
            select named.id as "conversation!", fate.is_too_late as "is_too_late!"
            from unnest($2::uuid[]) with ordinality as named (id, n)
            cross join lateral (
                select coalesce(bool_or(is_too_late), false) as is_too_late from hold_conversations_and_fate
                where hold_id = $1 and conversation_id = named.id and ($3::text[] is null or org = any($3))
            ) fate
            order by named.n"#,
            hold,
            &ids,
            reach.orgs()
        )
        .all(&mut tx)
        .await
    }

    /// Up to `limit` holds within the reach with ids before `before`, newest first.
    pub async fn holds(
        &self,
        reach: &Reach,
        wanted: Wanted,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Hold>, StoreError> {
        let mut tx = self.begin_request("holds").await?;
        let before = before.unwrap_or(Uuid::max());
        let ids = match (wanted.conversation, wanted.is_active) {
            (Some(conversation), is_active) => {
                naming(&mut tx, reach, conversation, is_active, before, limit).await
            }
            (None, Some(is_active)) => by_activity(&mut tx, reach, is_active, before, limit).await,
            (None, None) => all(&mut tx, reach, before, limit).await,
        }?;
        let mut holds = load(&mut tx, reach, &ids).await?;
        // Between the two statements one may have been released.
        holds.retain(|hold| wanted.is_active.is_none_or(|is_active| is_active == hold.is_active));
        Ok(holds)
    }
}

async fn all(tx: &mut Tx, reach: &Reach, before: Uuid, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    if let Some(orgs) = reach.orgs() {
        sqlx::query_scalar!(
            r#"-- holds_of_orgs
            select distinct found.hold_id as "id!"
            from unnest($1::text[]) as o (name)
            cross join lateral (
                select hold_id from hold_orgs
                where org = o.name and hold_id < $2
                order by hold_id desc
                limit $3
            ) found
            order by 1 desc
            limit $3"#,
            orgs,
            before,
            limit
        )
        .all(tx)
        .await
    } else {
        sqlx::query_scalar!(
            "-- all_holds
            select id from holds
            where id < $1 and (active or released_at is not null)
            order by id desc
            limit $2",
            before,
            limit
        )
        .all(tx)
        .await
    }
}

async fn by_activity(
    tx: &mut Tx,
    reach: &Reach,
    is_active: bool,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        r#"-- holds_by_activity
        select distinct found.hold_id as "id!"
        from orgs o
        cross join lateral (
            select hold_id from hold_orgs
            where org = o.name and active = $2 and hold_id < $3
            order by hold_id desc
            limit $4
        ) found
        where $1::text[] is null or o.name = any($1)
        order by 1 desc
        limit $4"#,
        reach.orgs(),
        is_active,
        before,
        limit
    )
    .all(tx)
    .await
}

async fn naming(
    tx: &mut Tx,
    reach: &Reach,
    conversation: Uuid,
    is_active: Option<bool>,
    before: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        r#"-- holds_naming
        select distinct found.hold_id as "id!"
        from orgs o
        cross join lateral (
            select hc.hold_id
            from hold_conversations hc
            cross join lateral (
                select from hold_orgs
                where org = hc.org and hold_id = hc.hold_id and ($3::boolean is null or active = $3)
                -- One at a time, until the page is full: no plan reads holds that do not name it.
                offset 0
            ) in_force
            where hc.conversation_id = $1 and hc.org = o.name and hc.hold_id < $4
            order by hc.hold_id desc
            limit $5
        ) found
        where $2::text[] is null or o.name = any($2)
        order by 1 desc
        limit $5"#,
        conversation,
        reach.orgs(),
        is_active,
        before,
        limit
    )
    .all(tx)
    .await
}
