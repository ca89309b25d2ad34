//! `LISTEN`: receives notifications of new work from other processes (`bell.rs`). A lost one only costs time.

use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::time::timeout;

use super::bell::{AtHome, Bell, CHANNEL};
use super::{Store, StoreError};

/// Hears of work, on a connection of its own.
pub struct Listener {
    connection: PgListener,
    bell: Bell,
    /// After this silence the connection is tested.
    heartbeat: Duration,
    /// By then it answers.
    patience: Duration,
}

impl Store {
    /// Notifies this process directly of its own work.
    pub fn tell_at_home(&self, at_home: AtHome) {
        self.bell.set_at_home(at_home);
    }

    /// Whether notifications can be heard at all: a pooler that changes sessions passes none on.
    pub fn may_hear(&self) -> bool {
        !self.openings.engine.is_pooled
    }

    /// Listens to notifications of the other processes.
    pub async fn listen(&self) -> Result<Listener, StoreError> {
        let patience = self.deadlines.engine.connection;
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(patience);
        let pool = pool.connect_lazy_with((*self.options).clone());
        let connecting = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            Ok(listener)
        };
        let connected = timeout(patience, connecting).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        Ok(Listener {
            connection: connected.map_err(failed)?,
            bell: self.bell.clone(),
            heartbeat: self.deadlines.heartbeat,
            patience: self.deadlines.begin,
        })
    }
}

impl Listener {
    /// Waits for a notification of another process, and returns the org with work: `None` if the connection was lost
    /// and notifications may have been missed.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        loop {
            // Cancel-safe: a partial message is not lost.
            let Ok(heard) = timeout(self.heartbeat, self.connection.try_recv()).await else {
                self.ask_whether_it_lives().await?;
                continue;
            };
            let Some(notification) = heard.map_err(failed)? else { return Ok(None) };
            if let Some(name) = self.bell.heard(notification.payload()) {
                return Ok(Some(name.to_owned()));
            }
        }
    }

    /// Sends a test notification and returns whether it arrived: a pooler may not forward any.
    pub async fn hears(&mut self) -> Result<bool, StoreError> {
        self.bell.call().await.map_err(failed)?;
        let echo = async {
            loop {
                match self.connection.try_recv().await {
                    Ok(Some(heard)) if self.bell.is_echo(heard.payload()) => return Ok(true),
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(false),
                    Err(error) => return Err(failed(error)),
                }
            }
        };
        timeout(self.patience, echo).await.unwrap_or(Ok(false))
    }

    /// A connection that swallows bytes never says that it does.
    async fn ask_whether_it_lives(&mut self) -> Result<(), StoreError> {
        match timeout(self.patience, self.connection.execute("-- heartbeat\nselect 1")).await {
            Ok(answered) => answered.map(drop).map_err(failed),
            Err(_) => Err(failed(sqlx::Error::PoolTimedOut)),
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

fn failed(source: sqlx::Error) -> StoreError {
    StoreError::Database { transaction: "listen", source }
}
