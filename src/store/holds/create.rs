//! Creates a hold: its ids are loaded first, and only its activation is under the orgs' locks, so that it is exactly
//! before or after every intent.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use uuid::Uuid;

use super::read::Hold;
use crate::domain::events::EventType;
use crate::domain::keys::Reach;
use crate::domain::outcome::{Marks, Outcome};
use crate::domain::reason::codes;
use crate::store::events::{Actor, NewEvent, write};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// A hold that somebody wants.
#[derive(Debug, Clone)]
pub struct NewHold {
    /// The matter that protects.
    pub matter: String,
    /// What it protects; without repeats.
    pub conversation_ids: Vec<Uuid>,
    pub orgs: Vec<String>,
    pub created_by: String,
    pub request_id: String,
}

/// A hold in force, and what it could not prevent.
#[derive(Debug, Clone)]
pub struct CreatedHold {
    pub hold: Hold,
    /// No submit that names one of its conversations leaves after this moment.
    pub quiet_at: Timestamp,
    /// Conversations that were purged before the hold was in force, or named by an intent whose job may still delete them.
    pub too_late: Vec<Uuid>,
}

impl Store {
    /// Creates a hold; from the return on no intent names its conversations.
    pub async fn create_hold(&self, new: &NewHold) -> Result<CreatedHold, StoreError> {
        let id = self.new_id();
        self.load_hold(id, new).await?;
        let quiet_at = self.activate_hold(id, new).await?;
        let too_late = self.too_late_for(&new.orgs, &new.conversation_ids).await?;
        let hold = self.hold(&Reach::of(&new.orgs), id).await?.ok_or(StoreError::Unreadable {
            what: "hold",
            detail: format!("{id} is gone right after it was made"),
        })?;
        Ok(CreatedHold { hold, quiet_at, too_late })
    }

    async fn load_hold(&self, id: Uuid, new: &NewHold) -> Result<(), StoreError> {
        let mut tx = self.begin_request("load_hold").await?;
        let now = tx.now().await?;
        sqlx::query!(
            "-- load_hold
            insert into holds (id, matter, created_by, request_id, created_at, conversations, orgs)
            values ($1, $2, $3, $4, $5, $6, $7)",
            id,
            new.matter,
            new.created_by,
            new.request_id,
            now.to_sqlx() as _,
            i32::try_from(new.conversation_ids.len()).unwrap_or(i32::MAX),
            &new.orgs
        )
        .run(&mut tx)
        .await?;
        sqlx::query!(
            "-- load_hold_conversations
            insert into hold_conversations (conversation_id, org, hold_id)
            select id, org, $3 from unnest($1::uuid[]) as c (id) cross join unnest($2::text[]) as o (org)",
            &new.conversation_ids,
            &new.orgs,
            id
        )
        .exactly(&mut tx, new.conversation_ids.len() * new.orgs.len())
        .await?;
        tx.commit().await
    }

    async fn activate_hold(&self, id: Uuid, new: &NewHold) -> Result<Timestamp, StoreError> {
        let mut tx = self.begin_request("activate_hold").await?;
        lock_orgs(&mut tx, &new.orgs).await?;
        let now = tx.now().await?;
        sqlx::query!("-- activate_hold\nupdate holds set active = true where id = $1", id)
            .exactly(&mut tx, 1)
            .await?;
        // One statement: a call that its snapshot does not show as under way any more left before its clock is read.
        let quiet_at = sqlx::query_scalar!(
            r#"-- quiet_at
            select greatest(max(call_before), clock_timestamp()) as "quiet_at!: SqlTimestamp"
            from jobs where org = any($1) and state = 'submitting'"#,
            &new.orgs
        )
        .one(&mut tx)
        .await?;
        let payload = serde_json::json!({ "matter": new.matter, "conversations": new.conversation_ids.len(), "orgs": new.orgs });
        let actor = Actor { name: &new.created_by, request_id: Some(&new.request_id) };
        let event = NewEvent {
            event: EventType::HoldCreated,
            org: None,
            job: None,
            hold: Some(id),
            payload,
            webhook: None,
        };
        write(self, &mut tx, now, actor, event).await?;
        tx.commit().await?;
        Ok(quiet_at.to_jiff())
    }

    /// Read after the activation, when no further intent can name them: what was named and comes back is protected.
    async fn too_late_for(&self, orgs: &[String], ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let mut tx = self.begin_request("too_late_for").await?;
        let gone_late = codes::GONE_LATE;
        let late = [Outcome::Submitted, Outcome::Purged].map(|outcome| i32::from(outcome.code()));
        sqlx::query_scalar!(
            r#"-- too_late_for
            select c.conversation_id as "id!"
            from conversations c
            join slices s on s.purge_id = c.purge_id and s.slice_no = c.ordinal / $4
            where c.conversation_id = any($1) and s.org = any($2)
              and (
                  get_byte(s.outcomes, c.ordinal % $4) & 15 = any($3)
                  -- It counts as something else, and was seen to be gone when the job that had carried it was over.
                  or get_byte(s.outcomes, c.ordinal % $4) & $5 > 0 and exists (
                      select from decisions d
                      where d.purge_id = s.purge_id and d.slice_no = s.slice_no and d.code = $6
                        and (c.ordinal % $4)::smallint = any(d.positions)
                  )
              )
            union
            -- A job past its deadline may go on, and its last look is still to come, whatever its conversations count as.
            select r.conversation_id
            from reservations r
            join jobs j on j.id = r.job_id
            where r.conversation_id = any($1) and r.org = any($2)
              and j.state in ('submitting', 'in_doubt', 'submitted', 'verifying')"#,
            ids,
            orgs,
            &late[..],
            i32::try_from(crate::domain::SLICE_SIZE).unwrap_or(i32::MAX),
            i32::from(Marks::CARRIED.bits()),
            gone_late.code.as_ref()
        )
        .all(&mut tx)
.await
    }
}

/// Takes the locks of several orgs, in the order of their names.
pub(super) async fn lock_orgs(tx: &mut Tx, orgs: &[String]) -> Result<(), StoreError> {
    sqlx::query!(
        "-- lock_orgs\nselect name from orgs where name = any($1) order by name for no key update",
        orgs
    )
    .all(tx)
    .await?;
    Ok(())
}
