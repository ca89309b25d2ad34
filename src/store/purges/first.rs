//! The first rows of every purge: the purge, its tags and its first event; for a small one also its only slice and its
//! index. Any number of purges in one statement.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use uuid::Uuid;

use super::accept::NewPurge;
use super::index::Entries;
use super::tags;
use crate::domain::events::EventType;
use crate::domain::outcome::Cell;
use crate::intake::Spooled;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// A purge that is about to be accepted.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) id: Uuid,
    pub(super) new: NewPurge,
    total: i64,
    duplicates: i64,
    event: Uuid,
    payload: Value,
    /// All of a small purge; `None` if slices and index follow separately.
    entries: Entries,
}

impl Draft {
    pub(super) fn new(store: &Store, new: &NewPurge, spooled: &Spooled, entries: Entries) -> Self {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Self {
            id: store.new_id(),
            new: new.clone(),
            total: signed(spooled.distinct()),
            duplicates: signed(spooled.duplicates()),
            event: store.new_id(),
            payload: payload(new, spooled),
            entries,
        }
    }

    /// How many conversations it brings with it.
    pub(super) fn conversations(&self) -> usize {
        self.entries.len()
    }
}

/// The data of the first event of its history.
fn payload(new: &NewPurge, spooled: &Spooled) -> Value {
    let mut payload = serde_json::json!({
        "total": spooled.distinct(), "duplicates": spooled.duplicates(), "dryRun": new.is_dry_run,
    });
    if let Some(traceparent) = &new.traceparent {
        payload["traceparent"] = traceparent.as_str().into();
    }
    payload
}

/// Inserts them; returns when each was accepted. One whose key is no longer valid is left out.
pub(super) async fn insert(tx: &mut Tx, drafts: &[&Draft]) -> Result<HashMap<Uuid, Timestamp>, StoreError> {
    let (tagged, tags) = tags_of(drafts);
    let (entered, entries, ordinals) = entries_of(drafts);
    let rows = sqlx::query!(
        r#"-- insert_purges
        with clock as materialized (
            select clock_timestamp() as now
        ), new as materialized (
            select n.*, clock.now
            from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::boolean[], $7::text[],
                        $8::text[], $9::bigint[], $10::bigint[], $11::uuid[], $12::uuid[], $13::jsonb[])
                 as n (id, org, reason, reference, labels, dry_run, requested_by, request_id, duplicates, total, key_id,
                       event_id, payload)
            join api_keys k on k.id = n.key_id and is_key_in_force(k.revoked_at, k.expires_at)
            cross join clock
        ), purge as (
            insert into purges (id, org, state, reason, reference, labels, dry_run, requested_by, request_id, created_at,
                                turn_at, ask_turn_at, ask_at, event_no, duplicates, total, pending, key_id)
            select id, org, 'queued', reason, reference, labels, dry_run, requested_by, request_id, now,
                   now, now, now, 1, duplicates, total, total, key_id
            from new
        ), tags as (
            insert into purge_tags (org, tag, purge_id)
            select new.org, t.tag, new.id
            from unnest($14::uuid[], $15::text[]) as t (purge_id, tag)
            join new on new.id = t.purge_id
        ), entry as materialized (
            select e.purge_id, e.id, e.ordinal, new.org, new.now
            from unnest($16::uuid[], $17::uuid[], $18::int[]) as e (purge_id, id, ordinal)
            join new on new.id = e.purge_id
        ), slice as (
            insert into slices (purge_id, slice_no, org, ids, outcomes, pending, run_at)
            select purge_id, 0, org, array_agg(id order by ordinal), decode(repeat($19, count(*)::int), 'hex'), count(*),
                   now
            from entry
            group by purge_id, org, now
        ), entries as (
            insert into conversations (conversation_id, purge_id, ordinal)
            select id, purge_id, ordinal from entry
        ), event as (
            insert into events (id, type, org, purge_id, event_no, actor, request_id, payload, at)
            select event_id, $20, org, id, 1, requested_by, request_id, payload, now from new
        )
        select id as "id!", now as "now!: SqlTimestamp" from new"#,
        &column(drafts, |draft| draft.id),
        &column(drafts, |draft| draft.new.org.clone()),
        &column(drafts, |draft| draft.new.reason.clone()) as _,
        &column(drafts, |draft| draft.new.reference.clone()) as _,
        &column(drafts, |draft| draft.new.labels.clone()),
        &column(drafts, |draft| draft.new.is_dry_run),
        &column(drafts, |draft| draft.new.requested_by.clone()),
        &column(drafts, |draft| draft.new.request_id.clone()),
        &column(drafts, |draft| draft.duplicates),
        &column(drafts, |draft| draft.total),
        &column(drafts, |draft| draft.new.key_id),
        &column(drafts, |draft| draft.event),
        &column(drafts, |draft| draft.payload.clone()),
        &tagged,
        &tags,
        &entered,
        &entries,
        &ordinals,
        format!("{:02x}", Cell::NEW.to_byte()),
        EventType::PurgeAccepted.as_str()
    )
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.now.to_jiff())).collect())
}

/// Inserts the receiver that an accepted purge names, if any.
pub(super) async fn insert_endpoint(tx: &mut Tx, purge: Uuid, new: &NewPurge) -> Result<(), StoreError> {
    let Some(webhook) = &new.webhook else { return Ok(()) };
    sqlx::query!(
        "-- insert_endpoint_of_purge
        insert into webhook_endpoints (id, url, orgs, purge_id, secret, key_id, created_by)
        values ($1, $2, array[$3::text], $4, $5, $6, $7)",
        webhook.id,
        webhook.url,
        new.org,
        purge,
        webhook.secret.expose_secret(),
        new.key_id,
        new.requested_by
    )
    .exactly(tx, 1)
    .await
}

/// Each tag, with its purge.
fn tags_of(drafts: &[&Draft]) -> (Vec<Uuid>, Vec<String>) {
    let of = |draft: &&Draft| {
        let tags = tags::of(draft.new.reference.as_deref(), &draft.new.labels);
        tags.into_iter().map(|tag| (draft.id, tag)).collect::<Vec<_>>()
    };
    drafts.iter().flat_map(of).unzip()
}

/// Each conversation, with its purge and its ordinal there.
fn entries_of(drafts: &[&Draft]) -> (Vec<Uuid>, Vec<Uuid>, Vec<i32>) {
    let (mut purges, mut ids, mut ordinals) = (Vec::new(), Vec::new(), Vec::new());
    for draft in drafts {
        purges.extend(draft.entries.ids.iter().map(|_| draft.id));
        ids.extend_from_slice(&draft.entries.ids);
        ordinals.extend_from_slice(&draft.entries.ordinals);
    }
    (purges, ids, ordinals)
}

fn column<T>(drafts: &[&Draft], of: impl Fn(&Draft) -> T) -> Vec<T> {
    drafts.iter().map(|draft| of(draft)).collect()
}
