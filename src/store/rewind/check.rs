//! Compares where the database stands with where it stood.
//!
//! Its record alone finds a restored dump and a promoted standby; older files bring their own record along, so only a
//! process that is still running can tell.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};

use super::close;
use super::ground::here;
use crate::domain::rewind::{Ground, History, Promotion, Rewind, judge};
use crate::domain::terms::EngineTerms;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// The database went back in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewound {
    pub kind: Rewind,
    /// Commits since then may be missing.
    pub missing_since: Option<Timestamp>,
    /// The orgs that were stopped for it just now.
    pub stopped: Vec<String>,
}

/// The recorded position.
struct Record {
    ground: Ground,
    noted_at: Timestamp,
}

impl Store {
    /// Checks whether the database went back in time, and records its position. If it did, every org is stopped before
    /// this returns.
    pub async fn check_ground(
        &self,
        promotion: Promotion,
        terms: &EngineTerms,
    ) -> Result<Option<Rewound>, StoreError> {
        let mut tx = self.begin("check_ground").await?;
        let record = record(&mut tx).await?;
        let remembered = self.grounds.known();
        let found = here(&mut tx).await?;
        let on_record: Vec<Ground> = record.iter().map(|record| record.ground).collect();
        let known: Vec<Ground> = on_record.iter().copied().chain(remembered).collect();
        let rewound = match judge(&known, found, promotion) {
            History::Whole => None,
            History::Promoted => {
                tracing::warn!(
                    ?known,
                    ?found,
                    "a standby was promoted; by database.promotion nothing is missing"
                );
                None
            }
            History::Rewound(kind) => {
                let missing_since = record.as_ref().map(|record| record.noted_at);
                // Others may have found it before, and then it is on record.
                let is_news = judge(&on_record, found, promotion) != History::Whole;
                let stopped = close::stop_all(self, &mut tx, kind, missing_since, is_news, terms).await?;
                if !stopped.is_empty() || is_news {
                    let details = serde_json::json!({ "known": known, "found": found, "stopped": stopped });
                    keep(self, &mut tx, kind, missing_since, details).await?;
                }
                Some(Rewound { kind, missing_since, stopped })
            }
        };
        note(&mut tx, found).await?;
        tx.commit().await?;
        self.grounds.stand_on(found);
        Ok(rewound)
    }

    /// The result that a check would have by the record; records nothing, and stops no org.
    pub async fn look_at_ground(&self, promotion: Promotion) -> Result<History, StoreError> {
        let mut tx = self.begin("look_at_ground").await?;
        let record = read(&mut tx).await?;
        let found = here(&mut tx).await?;
        let known: Vec<Ground> = record.iter().map(|record| record.ground).collect();
        Ok(judge(&known, found, promotion))
    }

    /// Whether commits wait for a standby to have them.
    pub async fn has_synchronous_standbys(&self) -> Result<bool, StoreError> {
        let mut tx = self.single("has_synchronous_standbys").await?;
        sqlx::query_scalar!(
            r#"-- has_synchronous_standbys
            select current_setting('synchronous_standby_names') <> '' as "has!""#
        )
        .one(&mut tx)
        .await
    }
}

/// The record, under its lock: one process at a time.
async fn record(tx: &mut Tx) -> Result<Option<Record>, StoreError> {
    sqlx::query!("-- lock_record\nselect from database_history for update").run(tx).await?;
    read(tx).await
}

async fn read(tx: &mut Tx) -> Result<Option<Record>, StoreError> {
    let row = sqlx::query!(
        r#"-- database_history
        select system_identifier, timeline, position, noted_at as "noted_at: SqlTimestamp" from database_history"#
    )
    .maybe(tx)
    .await?;
    Ok(row.map(|row| Record {
        ground: Ground { system: row.system_identifier, timeline: row.timeline, position: row.position },
        noted_at: row.noted_at.to_jiff(),
    }))
}

async fn note(tx: &mut Tx, found: Ground) -> Result<(), StoreError> {
    sqlx::query!(
        "-- note_ground
        insert into database_history (system_identifier, timeline, position, noted_at)
        values ($1, $2, $3, clock_timestamp())
        on conflict (is_only) do update
        set system_identifier = excluded.system_identifier, timeline = excluded.timeline, position = excluded.position,
            noted_at = excluded.noted_at",
        found.system,
        found.timeline,
        found.position
    )
    .exactly(tx, 1)
    .await
}

async fn keep(
    store: &Store,
    tx: &mut Tx,
    kind: Rewind,
    missing_since: Option<Timestamp>,
    details: serde_json::Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "-- keep_rewind
        insert into rewinds (id, kind, missing_since, found_at, details) values ($1, $2, $3, clock_timestamp(), $4)",
        store.new_id(),
        kind.as_str(),
        missing_since.map(ToSqlx::to_sqlx) as _,
        details
    )
    .exactly(tx, 1)
    .await
}
