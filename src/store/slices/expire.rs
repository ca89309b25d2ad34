//! Leases that expired: their worker died or was too slow, and the slices are queried again.

use uuid::Uuid;

use super::SliceKey;
use super::patch::Patch;
use super::purge_rows::lock_purges;
use crate::domain::backoff;
use crate::domain::reason::Step;
use crate::meters::Leased;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

impl Store {
    /// Returns slices with expired leases to the queue; returns how many.
    pub async fn expire_slices(&self, org: &str) -> Result<u64, StoreError> {
        self.retried(|| self.try_expire_slices(org)).await
    }

    async fn try_expire_slices(&self, org: &str) -> Result<u64, StoreError> {
        let mut tx = self.begin("expire_slices").await?;
        let purges = sqlx::query_scalar!(
            "-- expire_slices
            with expired as (
                select purge_id, slice_no from slices
                where org = $1 and state = 'validating' and lease_until < clock_timestamp()
                order by purge_id, slice_no
                for update skip locked
            )
            update slices s
            set state = 'queued', lease_until = null, asked = 0, epoch = s.epoch + 1, tries = least(s.tries + 1, 1000)
            from expired
            where (s.purge_id, s.slice_no) = (expired.purge_id, expired.slice_no)
            returning s.purge_id",
            org
        )
        .all(&mut tx)
        .await?;
        let expired = purges.len() as u64;
        line_up(&mut tx, &purges).await?;
        tx.commit().await?;
        self.meters.leases_expired(org, Leased::Slices, expired);
        Ok(expired)
    }
}

impl Store {
    /// Lets go of slices that were asked about under these epochs: nothing was learned, and they are asked again at once.
    pub async fn give_back_slices(&self, org: &str, held: &[(SliceKey, i64)]) -> Result<(), StoreError> {
        let mut tx = self.begin("give_back_slices").await?;
        let purges = sqlx::query_scalar!(
            "-- give_back_slices
            with held as (
                select s.purge_id, s.slice_no
                from slices s
                join unnest($1::uuid[], $2::int[], $3::bigint[]) as held (purge_id, slice_no, epoch)
                    on (s.purge_id, s.slice_no, s.epoch) = (held.purge_id, held.slice_no, held.epoch)
                where s.state = 'validating'
                order by s.purge_id, s.slice_no
                for update of s
            )
            update slices s
            set state = 'queued', lease_until = null, asked = 0, epoch = s.epoch + 1
            from held
            where (s.purge_id, s.slice_no) = (held.purge_id, held.slice_no)
            returning s.purge_id",
            &held.iter().map(|(slice, _)| slice.purge).collect::<Vec<_>>(),
            &held.iter().map(|(slice, _)| slice.no).collect::<Vec<_>>(),
            &held.iter().map(|(_, epoch)| *epoch).collect::<Vec<_>>()
        )
        .all(&mut tx)
        .await?;
        line_up(&mut tx, &purges).await?;
        tx.will_wake(org);
        tx.commit().await
    }
}

impl Store {
    /// Releases slices whose query, under these epochs, panicked: each is queried again later, with fewer others; one
    /// that panics alone is parked in the end.
    pub async fn set_slices_back(&self, org: &str, held: &[(SliceKey, i64)]) -> Result<(), StoreError> {
        let mut tx = self.begin("set_slices_back").await?;
        let rows = sqlx::query!(
            r#"-- lock_slices_to_set_back
            select s.purge_id, s.slice_no, s.panics
            from slices s
            join unnest($1::uuid[], $2::int[], $3::bigint[]) as held (purge_id, slice_no, epoch)
                on (s.purge_id, s.slice_no, s.epoch) = (held.purge_id, held.slice_no, held.epoch)
            where s.state = 'validating'
            order by s.purge_id, s.slice_no
            for update of s"#,
            &held.iter().map(|(slice, _)| slice.purge).collect::<Vec<_>>(),
            &held.iter().map(|(slice, _)| slice.no).collect::<Vec<_>>(),
            &held.iter().map(|(_, epoch)| *epoch).collect::<Vec<_>>()
        )
        .all(&mut tx)
        .await?;
        let panics = |before: i16| before.max(0).unsigned_abs().saturating_add(1).min(1000);
        let wait = |before: i16| backoff::panicked(panics(before).into()).as_secs_f64();
        let purges: Vec<Uuid> = rows.iter().map(|row| row.purge_id).collect();
        sqlx::query!(
            "-- set_slices_back
            update slices s
            set state = 'queued', lease_until = null, asked = 0, epoch = s.epoch + 1,
                panics = least(s.panics + 1, 1000), run_at = clock_timestamp() + make_interval(secs => back.wait)
            from unnest($1::uuid[], $2::int[], $3::float8[]) as back (purge_id, slice_no, wait)
            where (s.purge_id, s.slice_no) = (back.purge_id, back.slice_no)",
            &purges,
            &rows.iter().map(|row| row.slice_no).collect::<Vec<_>>(),
            &rows.iter().map(|row| wait(row.panics)).collect::<Vec<_>>()
        )
        .exactly(&mut tx, rows.len())
        .await?;
        line_up(&mut tx, &purges).await?;
        if let [only] = rows.as_slice()
            && held.len() == 1
            && panics(only.panics) >= backoff::PANICS_TO_PARK
        {
            let slice = SliceKey { purge: only.purge_id, no: only.slice_no };
            let mut patch = Patch::lock(&mut tx, Step::Validate, None, vec![slice]).await?;
            patch.park(slice);
            patch.write(self, &mut tx).await?;
        }
        tx.will_wake(org);
        tx.commit().await
    }
}

/// Puts their purges back into the queue, at their turn.
pub(in crate::store) async fn line_up(tx: &mut Tx, purges: &[Uuid]) -> Result<(), StoreError> {
    lock_purges(tx, purges).await?;
    sqlx::query!(
        "-- line_up_to_ask
        update purges set ask_at = next_ask(id, ask_turn_at) where id = any($1)",
        purges
    )
    .run(tx)
    .await?;
    Ok(())
}
