//! Reads holds. One whose ids are still being loaded, or whose request broke off before it was in force, is none.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use uuid::Uuid;

use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub id: Uuid,
    /// The matter that protects.
    pub matter: String,
    /// It protects at present.
    pub is_active: bool,
    /// How many conversations it names.
    pub conversations: i32,
    pub orgs: Vec<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub released_by: Option<String>,
    pub released_at: Option<Timestamp>,
}

struct Row {
    id: Uuid,
    matter: String,
    active: bool,
    conversations: i32,
    orgs: Vec<String>,
    created_by: String,
    created_at: SqlTimestamp,
    released_by: Option<String>,
    released_at: Option<SqlTimestamp>,
}

impl From<Row> for Hold {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            matter: row.matter,
            is_active: row.active,
            conversations: row.conversations,
            orgs: row.orgs,
            created_by: row.created_by,
            created_at: row.created_at.to_jiff(),
            released_by: row.released_by,
            released_at: row.released_at.map(SqlTimestamp::to_jiff),
        }
    }
}

impl Store {
    pub async fn hold(&self, id: Uuid) -> Result<Option<Hold>, StoreError> {
        let mut tx = self.begin_request("hold").await?;
        let row = sqlx::query_as!(
            Row,
            "-- hold
            select id, matter, active, conversations, orgs, created_by, created_at, released_by, released_at
            from holds where id = $1 and (active or released_at is not null)",
            id
        )
        .maybe(&mut tx)
        .await?;
        Ok(row.map(Hold::from))
    }

    /// Holds that touch one of `orgs` (`None`: any), newest first, before the id `before`.
    pub async fn holds(
        &self,
        orgs: Option<&[String]>,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Hold>, StoreError> {
        let mut tx = self.begin_request("holds").await?;
        let rows = sqlx::query_as!(
            Row,
            "-- holds
            select id, matter, active, conversations, orgs, created_by, created_at, released_by, released_at
            from holds
            where ($1::text[] is null or orgs && $1) and ($2::uuid is null or id < $2)
              and (active or released_at is not null)
            order by id desc
            limit $3",
            orgs as _,
            before,
            limit
        )
        .all(&mut tx)
        .await?;
        Ok(rows.into_iter().map(Hold::from).collect())
    }

    /// The holds, released ones included, that name this conversation.
    pub async fn holds_on(&self, conversation: Uuid) -> Result<Vec<Hold>, StoreError> {
        let mut tx = self.begin_request("holds_on").await?;
        let rows = sqlx::query_as!(
            Row,
            "-- holds_on
            select id, matter, active, conversations, orgs, created_by, created_at, released_by, released_at
            from holds
            where id in (select hold_id from hold_conversations where conversation_id = $1)
              and (active or released_at is not null)
            order by id",
            conversation
        )
        .all(&mut tx)
        .await?;
        Ok(rows.into_iter().map(Hold::from).collect())
    }
}
