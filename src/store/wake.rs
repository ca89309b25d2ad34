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
    /// So long nothing is heard before the connection is asked whether it still is one.
    heartbeat: Duration,
    /// By then it answers.
    patience: Duration,
}

impl Store {
    /// Has this process told of work that it makes itself, at once.
    pub fn tell_at_home(&self, at_home: AtHome) {
        self.bell.set_at_home(at_home);
    }

    /// Whether notifications can be heard at all: a pooler that changes sessions passes none on.
    pub fn may_hear(&self) -> bool {
        !self.openings.engine.is_pooled
    }

    /// Listens to what the others tell.
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
    /// Waits until another process tells that somebody has work, and who: `None` where the connection was lost and
    /// notifications may have been missed.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        loop {
            // Nothing of a message is lost where this ends before it is whole.
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

    /// Calls, and tells whether the call was heard: something between here and the server may pass none on.
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
