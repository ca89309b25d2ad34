//! Notifies of new work: this process at once, the others by `NOTIFY`.
//!
//! The notification is a transaction of its own, after the one that made the work: a commit that notifies holds a
//! server-wide lock until its log is on disk, so the commits of many callers would serialize. One notification covers
//! all work that arrived while the previous one was under way. A lost one only costs time, so its commit does not wait
//! for the disk.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sqlx::{AssertSqlSafe, Executor as _, PgPool};
use tokio::time::timeout;

use super::connections::Pulse;
use super::deadlines::Limits;
use super::events::stamp::WRITTEN;
use super::opening::Opening;

/// The notification by which a process tests whether it hears itself; no org can have this name.
const ECHO: &str = "#echo";

/// The channel of all notifications.
pub(super) const CHANNEL: &str = "genesys_purge_work";

/// Called with the name of the org that has work.
pub type AtHome = Box<dyn Fn(&str) + Send + Sync>;

/// Rung after a commit; all clones are one bell.
#[derive(Clone)]
pub(super) struct Bell(Arc<Inner>);

struct Inner {
    /// The prefix of this process' notifications, so that it recognizes its own.
    voice: String,
    pool: PgPool,
    opening: Opening,
    limits: Limits,
    pulse: Pulse,
    at_home: OnceLock<AtHome>,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    /// Orgs with work that the other processes were not notified of.
    names: BTreeSet<String>,
    /// A task is sending notifications.
    is_told: bool,
}

impl Bell {
    pub(super) fn new(voice: String, telling: (PgPool, Opening), limits: Limits, pulse: Pulse) -> Self {
        let ((pool, opening), at_home, pending) = (telling, OnceLock::new(), Mutex::default());
        Self(Arc::new(Inner { voice, pool, opening, limits, pulse, at_home, pending }))
    }

    /// From now on this process is notified directly, without the database.
    pub(super) fn set_at_home(&self, at_home: AtHome) {
        // A second one would be of a second engine, which no process has.
        drop(self.0.at_home.set(at_home));
    }

    /// These have work. Events that this process has written it numbers itself: the others need not know.
    pub(super) fn ring(&self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        if let Some(at_home) = self.0.at_home.get() {
            for name in &names {
                at_home(name);
            }
        }
        let told: Vec<String> = names.into_iter().filter(|name| name != WRITTEN).collect();
        if told.is_empty() {
            return;
        }
        let mut pending = self.pending();
        pending.names.extend(told);
        if !std::mem::replace(&mut pending.is_told, true) {
            tokio::spawn(self.clone().tell_all());
        }
    }

    /// Notifies the other processes until nothing is left.
    async fn tell_all(self) {
        while let Some(names) = self.next() {
            if let Err(error) = self.tell(&names).await {
                tracing::debug!(%error, "other processes were not notified of work; they find it by polling, a little later");
            }
        }
    }

    fn next(&self) -> Option<Vec<String>> {
        let mut pending = self.pending();
        if pending.names.is_empty() {
            pending.is_told = false;
            return None;
        }
        Some(std::mem::take(&mut pending.names).into_iter().map(|name| self.0.in_own_voice(&name)).collect())
    }

    async fn tell(&self, told: &[String]) -> Result<(), sqlx::Error> {
        let mut connection = self.0.pool.acquire().await?;
        let telling = async {
            let Opening { statement, is_pooled } = &self.0.opening;
            if *is_pooled {
                connection.execute(AssertSqlSafe(Arc::clone(statement))).await?;
            }
            let telling = sqlx::query!(
                "-- tell_of_work
            select set_config('synchronous_commit', 'off', true), pg_notify($1, told)
            from unnest($2::text[]) as new (told)",
                CHANNEL,
                told
            );
            telling.fetch_all(&mut *connection).await?;
            if *is_pooled {
                connection.execute("commit").await?;
            }
            Ok(())
        };
        let told = match timeout(self.0.limits.statement, telling).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => {
                self.0.pulse.missed();
                sqlx::Error::PoolTimedOut
            }
        };
        // Perhaps in the middle of a transaction.
        drop(connection.detach());
        Err(told)
    }

    /// Sends a notification that only this process listens for.
    pub(super) async fn call(&self) -> Result<(), sqlx::Error> {
        self.tell(&[self.0.in_own_voice(ECHO)]).await
    }

    /// It is this process' own notification, come back.
    pub(super) fn is_echo(&self, payload: &str) -> bool {
        payload.split_once(' ').is_some_and(|(voice, said)| voice == self.0.voice && said == ECHO)
    }

    /// The org with work, if the notification is from another process.
    pub(super) fn heard<'a>(&self, payload: &'a str) -> Option<&'a str> {
        match payload.split_once(' ') {
            Some((voice, _)) if voice == self.0.voice => None,
            Some((_, name)) => Some(name),
            None => Some(payload),
        }
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn in_own_voice(&self, name: &str) -> String {
        format!("{} {name}", self.voice)
    }
}
