//! Whether the database is fit to work on: its schema and its sessions.

use crate::store::{SchemaAge, Store, StoreError};

/// Nothing is begun on a schema that is not ours.
pub(super) async fn check(store: &Store) -> Result<(), StoreError> {
    if let SchemaAge::Newer { found, needed } = store.check_ready().await? {
        tracing::warn!(
            found,
            needed,
            "a newer version has migrated the database; this one works on until the upgrade is over: run the newer version"
        );
    }
    check_session(store).await
}

/// Nothing is begun where a crash of the database could forget an intent whose call has left.
async fn check_session(store: &Store) -> Result<(), StoreError> {
    let check = store.check_session().await?;
    for setting in &check.odd_settings {
        tracing::warn!(setting, "a session of the database is not set up as it was asked to be");
    }
    for setting in &check.lossy_settings {
        tracing::warn!(
            setting,
            "the database's server has this off: a crash of its machine may lose or damage what was committed"
        );
    }
    check.ensure_safe()
}
