//! Reads holds. A hold whose ids are still being loaded, or whose request broke off before the activation, does not
//! count.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use crate::domain::keys::Reach;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError, Urgency};

/// A hold, as far as a caller reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub id: Uuid,
    /// The matter that protects.
    pub matter: String,
    /// The caller's own name for it.
    pub external_id: Option<String>,
    /// Why it was created, if a reason was given.
    pub reason: Option<String>,
    /// It is in force.
    pub is_active: bool,
    /// How many conversations it names.
    pub conversations: i32,
    /// Its orgs within the reach.
    pub orgs: Vec<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub released_by: Option<String>,
    pub released_at: Option<Timestamp>,
    /// Why it was released, if a reason was given.
    pub release_reason: Option<String>,
}

struct Row {
    id: Uuid,
    matter: String,
    external_id: Option<String>,
    reason: Option<String>,
    active: bool,
    conversations: i32,
    orgs: Vec<String>,
    created_by: String,
    created_at: SqlTimestamp,
    released_by: Option<String>,
    released_at: Option<SqlTimestamp>,
    release_reason: Option<String>,
}

impl From<Row> for Hold {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            matter: row.matter,
            external_id: row.external_id,
            reason: row.reason,
            is_active: row.active,
            conversations: row.conversations,
            orgs: row.orgs,
            created_by: row.created_by,
            created_at: row.created_at.to_jiff(),
            released_by: row.released_by,
            released_at: row.released_at.map(SqlTimestamp::to_jiff),
            release_reason: row.release_reason,
        }
    }
}

impl Store {
    pub async fn hold(&self, reach: &Reach, id: Uuid, urgency: Urgency) -> Result<Option<Hold>, StoreError> {
        let mut tx = self.single_request("hold", urgency).await?;
        Ok(load(&mut tx, reach, &[id]).await?.pop())
    }

    /// Up to `limit` holds within the reach that name this conversation, released ones included: those with ids after
    /// `after`, oldest first.
    pub async fn holds_on(
        &self,
        reach: &Reach,
        conversation: Uuid,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Hold>, StoreError> {
        let mut tx = self.begin_request("holds_on").await?;
        let ids = sqlx::query_scalar!(
            r#"-- holds_on
            select distinct found.hold_id as "id!"
            from orgs o
            cross join lateral (
                select hc.hold_id
                from hold_conversations hc
                cross join lateral (
                    select from hold_orgs
                    where org = hc.org and hold_id = hc.hold_id
                    -- One at a time, until the page is full: no plan reads holds that do not name it.
                    offset 0
                ) in_force
                where hc.conversation_id = $1 and hc.org = o.name and hc.hold_id > $2
                order by hc.hold_id
                limit $4
            ) found
            where $3::text[] is null or o.name = any($3)
            order by 1
            limit $4"#,
            conversation,
            after.unwrap_or_default(),
            reach.orgs(),
            limit
        )
        .all(&mut tx)
        .await?;
        let mut holds = load(&mut tx, reach, &ids).await?;
        holds.reverse();
        Ok(holds)
    }
}

/// Those of the holds with these ids that are within the reach, newest first.
pub(super) async fn load(tx: &mut Tx, reach: &Reach, ids: &[Uuid]) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"-- holds
        select id, matter, external_id, reason, active, conversations, created_by, created_at, released_by, released_at,
               release_reason,
               array(
                   select name from unnest(orgs) with ordinality as o (name, place)
                   where $2::text[] is null or name = any($2)
                   order by place
               ) as "orgs!"
        from holds
        where id = any($1) and (active or released_at is not null) and ($2::text[] is null or orgs && $2)
        order by id desc"#,
        ids,
        reach.orgs() as _
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(Hold::from).collect())
}
