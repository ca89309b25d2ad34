//! Whether the database is fit to work on: its schema and its sessions.

use crate::store::{SchemaAge, Store, StoreError};

/// Nothing is begun on a schema that is not ours.
pub(super) async fn check(store: &Store) -> Result<(), StoreError> {
    if let SchemaAge::Newer { found, needed } = store.check_ready().await? {
        tracing::warn!(
            found,
            needed,
            "a newer version migrated the database; this one keeps working until the upgrade is over: run the newer version"
        );
    }
    check_session(store).await
}

/// Nothing is begun where a crash of the database could forget an intent whose call has left.
async fn check_session(store: &Store) -> Result<(), StoreError> {
    let check = store.check_session().await?;
    for setting in &check.odd_settings {
        tracing::warn!(setting, "a setting of the database session is not as requested");
    }
    for setting in &check.lossy_settings {
        tracing::warn!(
            setting,
            "the database server has this off: a crash of its machine may lose or damage committed data"
        );
    }
    check.ensure_safe()
}
