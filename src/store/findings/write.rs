//! Writes the findings of decisions.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use uuid::Uuid;

use crate::domain::findings::{Finding, findings};
use crate::domain::outcome::Marks;
use crate::store::StoreError;
use crate::store::slices::Place;
use crate::store::slices::patch::Patch;
use crate::store::tx::{Tx, Writes as _};

/// Writes the findings of a patch; the orgs of its purges are those of the slices.
pub(in crate::store) async fn write(tx: &mut Tx, now: Timestamp, patch: &Patch) -> Result<(), StoreError> {
    let mut found: Vec<(Uuid, Uuid, Finding)> = Vec::new();
    let id_at = |place: Place| patch.slice(place.slice).and_then(|slice| slice.ids.get(place.position));
    patch.for_each_decision(|place, from, to, code| {
        let Some(id) = id_at(place) else { return };
        let is_carried = patch.cell(place).is_some_and(|cell| cell.marks.has(Marks::CARRIED));
        for finding in findings(from, to, code, is_carried) {
            found.push((place.slice.purge, *id, *finding));
        }
    });
    let kept =
        patch.kept().iter().filter_map(|&place| Some((place.slice.purge, *id_at(place)?, Finding::Kept)));
    found.extend(kept);
    if found.is_empty() {
        return Ok(());
    }
    // All writers lock rows in one order.
    found.sort_unstable_by_key(|(_, id, _)| *id);
    let is = |wanted: Finding| found.iter().map(|(.., finding)| *finding == wanted).collect::<Vec<bool>>();
    sqlx::query!(
        "-- write_findings
        insert into findings as f (org, conversation_id, gone_at, kept_at, carried_at)
        select p.org, new.id, max(case when new.is_gone then $6::timestamptz end),
               max(case when new.is_kept then $6 end), max(case when new.is_carried then $6 end)
        from unnest($1::uuid[], $2::uuid[], $3::bool[], $4::bool[], $5::bool[])
             as new (purge_id, id, is_gone, is_kept, is_carried)
        join purges p on p.id = new.purge_id
        -- What stands against deleting an id matters to other purges that name it, and to nobody else.
        where not new.is_kept
           or exists (select from conversations c where c.conversation_id = new.id and c.purge_id <> new.purge_id)
        group by p.org, new.id
        order by p.org, new.id
        on conflict (org, conversation_id) do update
        set gone_at = greatest(f.gone_at, excluded.gone_at), kept_at = greatest(f.kept_at, excluded.kept_at),
            carried_at = greatest(f.carried_at, excluded.carried_at)",
        &found.iter().map(|(purge, ..)| *purge).collect::<Vec<_>>(),
        &found.iter().map(|(_, id, _)| *id).collect::<Vec<_>>(),
        &is(Finding::Gone),
        &is(Finding::Kept),
        &is(Finding::Carried),
        now.to_sqlx() as _
    )
    .run(tx)
    .await?;
    Ok(())
}

/// Records that a job has carried these ids with an unknown result: earlier findings no longer count.
pub(in crate::store) async fn doubt(tx: &mut Tx, org: &str, ids: &[Uuid]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- write_doubt
        insert into findings as f (org, conversation_id, kept_at, carried_at)
        select $1, new.id, now.at, now.at
        from unnest($2::uuid[]) as new (id)
        cross join (select clock_timestamp() as at) now
        order by new.id
        on conflict (org, conversation_id) do update
        set kept_at = greatest(f.kept_at, excluded.kept_at), carried_at = greatest(f.carried_at, excluded.carried_at)",
        org,
        ids
    )
    .run(tx)
    .await?;
    Ok(())
}
