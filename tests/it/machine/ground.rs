//! One database for all walks, emptied before each.

use std::time::Duration;

use genesys_purge::app::World;
use genesys_purge::domain::keys::{Caller, Reach, Scope, format_key};
use genesys_purge::domain::missing::Tolerance;
use genesys_purge::domain::retention::{Policy, UnknownAge};
use genesys_purge::domain::rewind::Promotion;
use genesys_purge::domain::terms::EngineTerms;
use genesys_purge::store::keys::By;
use genesys_purge::store::orgs::enroll::Enroller;
use genesys_purge::store::{Store, Urgency};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::postgres::{TestDatabase, new_id};

pub const ORG: &str = "walk";

/// As in production, but for what makes walks short.
pub const TERMS: EngineTerms = EngineTerms {
    workers: 1,
    paused: false,
    poll_initial: Duration::from_secs(5),
    poll_max: Duration::from_mins(1),
    job_deadline: Duration::from_hours(2),
    lease: Duration::from_mins(1),
    intent_ttl: Duration::from_secs(10),
    ambiguity_grace: Duration::from_mins(2),
    absence_gap: Duration::from_secs(5),
    validation_max_age: Duration::from_mins(15),
    verify_timeout: Duration::from_mins(10),
    resubmit_after: Duration::from_mins(1),
    max_attempts: 2,
    missing: Tolerance { percent: 100, from: 1 },
    shutdown_grace: Duration::ZERO,
};

pub struct Ground {
    pub store: Store,
    pub connection: PgConnection,
    pub by: By<'static>,
    emptying: String,
}

impl Ground {
    pub async fn prepare() -> Self {
        let database = TestDatabase::create().await;
        let store = Store::connect(&database.place(), 4, new_id(), true).await.unwrap();
        store.check_ground(Promotion::Check, &TERMS).await.unwrap();
        let key = format_key(&World::machine().random_bytes());
        let caller = Caller { name: "walker".to_owned(), scopes: Scope::ALL.to_vec(), reach: Reach::all() };
        store.create_key(&key, &caller).await.unwrap();
        let (key_id, _) = store.find_caller(&key, Urgency::Ordinary).await.unwrap().in_force().unwrap();
        let by = By { key_id, name: "walker", request_id: "walk", reason: None };
        let mut connection = database.connect().await;
        let tables: String = sqlx::query_scalar(
            "select string_agg(quote_ident(tablename), ', ') from pg_tables
             where schemaname = 'public'
               and tablename not in ('_sqlx_migrations', 'api_keys', 'service_secrets', 'database_history', 'rewinds', 'schema_floor')",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        // Triggers keep what is append-only from being emptied, but not in sessions that only repeat what others did.
        let emptying = format!("set session_replication_role = replica; truncate {tables}");
        Self { store, connection, by, emptying }
    }

    /// Nothing but an org that nobody has asked anything of.
    pub async fn clear(&mut self) {
        self.connection.execute(AssertSqlSafe(self.emptying.clone())).await.unwrap();
        let policy = Policy { default_days: 30, unknown_age: UnknownAge::Retain };
        self.store.enroll_org(ORG, &policy, Enroller::Worker).await.unwrap();
    }
}
