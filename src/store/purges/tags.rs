//! What purges are found by beside their org and state: the caller's reference and labels, which never change.

use serde_json::Value;
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::tx::{Tx, Writes as _};

/// The tag of a reference. No key of a label is empty, so it is no label's.
pub(super) fn of_reference(reference: &str) -> String {
    format!(":{reference}")
}

/// The tag of a label. No key has a colon, so no two labels share one.
pub(super) fn of_label(key: &str, value: &str) -> String {
    format!("{key}:{value}")
}

/// Writes the tags of a new purge. Their org is read from its row, so that the two can't differ.
pub(super) async fn insert(
    tx: &mut Tx,
    purge: Uuid,
    reference: Option<&str>,
    labels: &Value,
) -> Result<(), StoreError> {
    let labels = labels.as_object().into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some(of_label(key, value.as_str()?)));
    let tags: Vec<String> = reference.map(of_reference).into_iter().chain(labels).collect();
    if tags.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- insert_tags
        insert into purge_tags (org, tag, purge_id)
        select p.org, new.tag, p.id
        from purges p
        cross join unnest($1::text[]) as new (tag)
        where p.id = $2",
        &tags,
        purge
    )
    .exactly(tx, tags.len())
    .await
}
