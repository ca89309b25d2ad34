//! `LISTEN/NOTIFY`: idle workers hear of new work at once. A lost notification costs time, nothing else.

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::tx::{Tx, Writes as _};
use super::{Place, StoreError};

const CHANNEL: &str = "genesys_purge_work";

/// Hears of work, on a connection of its own.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    pub async fn connect(place: &Place) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Database { transaction: "listen", source };
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(place.options()?);
        let mut listener = PgListener::connect_with(&pool).await.map_err(failed)?;
        listener.listen(CHANNEL).await.map_err(failed)?;
        Ok(Self(listener))
    }

    /// Waits for the next notification: the org that has work, or `None` where the connection was lost and
    /// notifications may have been missed.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        let notification = self
            .0
            .try_recv()
            .await
            .map_err(|source| StoreError::Database { transaction: "listen", source })?;
        Ok(notification.map(|notification| notification.payload().to_owned()))
    }
}

/// Tells every process, with the commit of this transaction, that an org has work.
pub(super) async fn notify(tx: &mut Tx, org: &str) -> Result<(), StoreError> {
    sqlx::query!("-- notify_work\nselect pg_notify($1, $2)", CHANNEL, org).run(tx).await?;
    Ok(())
}
