//! Gives events their feed numbers: after their commit, by one process at a time.
//!
//! Stamping holds a lock for one short transaction, and sees all earlier stamps. Committed events wait in a queue, so
//! an event whose transaction took long is found like any other, and nothing but the queue is read.

use uuid::Uuid;

use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// The local notification of written events; no org can have this name.
pub(in crate::store) const WRITTEN: &str = "#events";

/// The notification of new numbers.
const STAMPED: &str = "#feed";

/// The advisory lock for stamping; nothing else uses this number.
const LOCK: i64 = 0x6665_6564;

/// Whether this is the local notification of written events.
pub fn is_written(name: &str) -> bool {
    name == WRITTEN
}

/// True for the notification of new numbers.
pub fn is_stamped(name: &str) -> bool {
    name == STAMPED
}

/// The result of an attempt to stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamping {
    /// Another process is stamping.
    Busy,
    Done {
        stamped: u64,
        /// There may be more.
        has_more: bool,
    },
}

impl Store {
    /// Whether events wait for their numbers.
    pub async fn has_unstamped_events(&self) -> Result<bool, StoreError> {
        let mut tx = self.single("has_unstamped_events").await?;
        sqlx::query_scalar!(
            r#"-- has_unstamped_events
            select (exists (select from events_unstamped) or exists (select from events_backlog)) as "has_any!""#
        )
        .one(&mut tx)
        .await
    }

    /// Gives up to `limit` events their numbers.
    pub async fn stamp_events(&self, limit: i64) -> Result<Stamping, StoreError> {
        let mut tx = self.begin("stamp_events").await?;
        // A statement of its own: the next one has to see what the last holder of the lock has written.
        let is_alone = sqlx::query_scalar!(
            r#"-- lock_stamps
            select pg_try_advisory_xact_lock($1) as "is_locked!""#,
            LOCK
        )
        .one(&mut tx)
        .await?;
        if !is_alone {
            return Ok(Stamping::Busy);
        }
        let backlog =
            sqlx::query_scalar!("-- events_backlog\nselect after from events_backlog").maybe(&mut tx).await?;
        let (stamped, has_more) = if let Some(after) = backlog {
            (stamp_backlog(&mut tx, after, limit).await?, true)
        } else {
            let stamped = stamp_committed(&mut tx, limit).await?;
            (stamped, i64::try_from(stamped).is_ok_and(|stamped| stamped >= limit))
        };
        if stamped > 0 {
            tx.will_wake(STAMPED);
        }
        tx.commit().await?;
        Ok(Stamping::Done { stamped, has_more })
    }
}

/// Numbers the waiting events, in the order in which they were written. Each event is looked up by itself, whatever
/// the planner thinks of the tables: its statistics may be from before they grew.
async fn stamp_committed(tx: &mut Tx, limit: i64) -> Result<u64, StoreError> {
    sqlx::query!(
        "-- stamp_committed
        with taken as (
            delete from events_unstamped
            where place = any(array(select place from events_unstamped order by place limit $1))
            returning place, event_id
        ), last as materialized (
            select coalesce(max(no), 0) as no,
                   greatest(clock_timestamp(), (select stamped_at from event_numbers order by no desc limit 1)) as now
            from event_numbers
        )
        insert into event_numbers (no, event_id, org, stamped_at)
        select last.no + row_number() over (order by taken.place), e.id, e.org, last.now
        from taken
        cross join lateral (select id, org from events where id = taken.event_id limit 1) e
        cross join last",
        limit
    )
    .run(tx)
    .await
}

/// Numbers some of the events from before the queue existed, by id. An id is created before the purge's row is locked,
/// so each purge's earlier events are numbered together with a later one.
async fn stamp_backlog(tx: &mut Tx, after: Uuid, limit: i64) -> Result<u64, StoreError> {
    let upto = sqlx::query_scalar!(
        r#"-- backlog_upto
        select id as "id!" from (select id from events where id > $1 order by id limit $2) walked
        order by id desc
        limit 1"#,
        after,
        limit
    )
    .maybe(tx)
    .await?;
    let Some(upto) = upto else {
        sqlx::query!("-- end_backlog\ndelete from events_backlog").exactly(tx, 1).await?;
        return Ok(0);
    };
    let stamped = sqlx::query!(
        "-- stamp_backlog
        with walked as (
            select id, purge_id, event_no from events where id > $1 and id <= $2
        ), due as (
            select id from walked
            union
            select e.id
            from (select purge_id, max(event_no) as event_no from walked where purge_id is not null group by purge_id) w
            cross join lateral (
                select id from events where purge_id = w.purge_id and event_no < w.event_no order by event_no desc offset 0
            ) e
        ), placed as (
            select e.id, e.org, e.event_no,
                   max(e.at) over (partition by coalesce(e.purge_id, e.id) order by e.event_no) as at
            from due
            cross join lateral (select id, org, purge_id, event_no, at from events where id = due.id limit 1) e
            left join lateral (select true as is_so from event_numbers where event_id = due.id limit 1) numbered on true
            left join lateral (select true as is_so from events_unstamped where event_id = due.id limit 1) new on true
            where numbered.is_so is null and new.is_so is null
        ), last as materialized (
            select coalesce(max(no), 0) as no, (select stamped_at from event_numbers order by no desc limit 1) as stamped_at
            from event_numbers
        )
        insert into event_numbers (no, event_id, org, stamped_at)
        select last.no + row_number() over in_order, placed.id, placed.org,
               greatest(last.stamped_at, max(placed.at) over in_order)
        from placed
        cross join last
        window in_order as (order by placed.at, placed.event_no, placed.id)",
        after,
        upto
    )
    .run(tx)
    .await?;
    sqlx::query!("-- move_backlog\nupdate events_backlog set after = $1", upto).exactly(tx, 1).await?;
    Ok(stamped)
}
