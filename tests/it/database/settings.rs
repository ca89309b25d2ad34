//! Settings of the role and the database: whatever they are, the service has its own, or does not start.

use std::time::Duration;

use genesys_purge::app::{Role, Service, StartError, World};
use genesys_purge::domain::keys::{Caller, Reach, Scope};
use genesys_purge::sandbox::Kind;
use genesys_purge::store::{Place, Store, StoreError};
use serde_json::json;

use crate::support::books::assert_books;
use crate::support::postgres::{TestDatabase, new_id};
use crate::support::proxy::Proxy;
use crate::support::trouble::endings;
use crate::support::{Setup, TestService};

/// What somebody may have set, for good reasons or none.
const HOSTILE: &[(&str, &str)] = &[
    ("default_transaction_isolation", "'repeatable read'"),
    ("synchronous_commit", "off"),
    ("search_path", "evil"),
    ("TimeZone", "'Pacific/Kiritimati'"),
    ("DateStyle", "'SQL, DMY'"),
    ("IntervalStyle", "sql_standard"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-15"),
    ("statement_timeout", "'1ms'"),
    ("lock_timeout", "'1ms'"),
    ("idle_in_transaction_session_timeout", "'1ms'"),
    ("idle_session_timeout", "'1ms'"),
    ("jit", "on"),
];

/// A database in which both the role and the database have these settings, and tables of the same names stand elsewhere.
pub async fn hostile() -> TestDatabase {
    let database = TestDatabase::of_its_own_role().await;
    let (name, role) = (database.name(), database.role());
    let tables =
        ["orgs", "limiters", "purges", "slices", "jobs", "holds", "hold_conversations", "api_keys", "events"];
    let shadows = tables.map(|table| {
        format!(
            "create table evil.{table} (like public.{table} including all); alter table evil.{table} owner to {role};"
        )
    });
    let settings = HOSTILE.iter().map(|(setting, value)| {
        format!("alter role {role} set {setting} = {value}; alter database {name} set {setting} = {value};")
    });
    let schema = format!("create schema evil authorization {role};");
    let statements: String = std::iter::once(schema).chain(shadows).chain(settings).collect();
    database.sql(&statements).await;
    database
}

#[tokio::test]
async fn hostile_settings_of_role_and_database_change_nothing() {
    let test = Setup::new().database(hostile().await).start().await;
    let ids = test.ids_of(Kind::Eligible);
    let (status, hold) = test.post("/holds", &json!({ "matter": "m", "conversationIds": ids[..1] })).await;
    assert_eq!(status, 201, "{hold}");
    let purge = test.purge(&ids[..3]).await;
    let ended = test.finished(purge).await;
    assert_eq!(ended["state"], "completed", "{ended}");
    assert_eq!(test.endings(purge).await, endings([("on_hold legal_hold", 1), ("purged gone", 2)]));
    test.assert_untouched(&ids[..1]);
    test.assert_purged_once(&ids[1..3]);
    assert_books(&test).await;
    assert_eq!(test.number("select count(*) from evil.purges").await, 0);
    let check = test.store().await.check_session().await.unwrap();
    assert_eq!((check.unsafe_settings, check.odd_settings), (vec![], vec![]));
    test.end().await;
}

/// What a commit of the service waited for, where this is what its role asks for.
async fn durability(test: &TestService, asked_for: &str) -> String {
    let role = test.database.role();
    test.sql(&format!("alter role {role} set synchronous_commit = {asked_for}")).await;
    let store = test.store().await;
    let caller = Caller { name: asked_for.to_owned(), scopes: vec![Scope::Admin], reach: Reach::all() };
    store.create_key(asked_for, &caller).await.unwrap();
    store.close().await;
    let noted = format!("select prefix from api_keys where name = '{asked_for}'");
    let mut connection = test.database.connect().await;
    sqlx::query_scalar(sqlx::AssertSqlSafe(noted)).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_at_least_and_for_more_where_that_is_asked_for() {
    let test = Setup::new().role(Role::Api).database(TestDatabase::of_its_own_role().await).start().await;
    test.sql(
        "create function note_durability() returns trigger language plpgsql as
             $$ begin new.prefix := current_setting('synchronous_commit'); return new; end $$;
         create trigger note before insert on api_keys for each row execute function note_durability()",
    )
    .await;
    for (asked_for, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        assert_eq!(durability(&test, asked_for).await, expected, "{asked_for} is asked for");
    }
    test.end().await;
}

async fn start(test: &TestService, place: &Place, role: Role) -> Result<(), StartError> {
    Service::start(&test.settings, &World::machine(), place, role).await?.stop().await;
    Ok(())
}

#[tokio::test]
async fn behind_a_pooler_that_leaves_them_out_it_starts_only_where_the_role_has_them() {
    let test = Setup::new().role(Role::Api).database(TestDatabase::of_its_own_role().await).start().await;
    let (role, proxy) = (test.database.role(), Proxy::stripping(&test.database).await);
    for (setting, good, bad) in
        [("synchronous_commit", "on", "off"), ("search_path", "public, pg_temp", "evil, public")]
    {
        test.sql(&format!("alter role {role} set synchronous_commit = on")).await;
        test.sql(&format!("alter role {role} set search_path = public, pg_temp")).await;
        start(&test, &proxy.place(), Role::Worker).await.unwrap();
        test.sql(&format!("alter role {role} set {setting} = {bad}")).await;
        for process in [Role::Worker, Role::All, Role::Api] {
            let refused = start(&test, &proxy.place(), process).await.unwrap_err().to_string();
            assert!(refused.contains(setting) && refused.contains("pooler"), "{refused}");
            assert!(refused.contains(good), "it says what is needed: {refused}");
        }
    }
    // What hurts only the pace is told, and no more.
    let store = Store::connect(&proxy.place(), 2, new_id(), false).await.unwrap();
    let check = store.check_session().await.unwrap();
    assert!(check.odd_settings.iter().any(|told| told.starts_with("statement_timeout is")), "{check:?}");
    assert!(matches!(check.ensure_safe(), Err(StoreError::Settings { .. })), "{check:?}");
    tokio::time::timeout(Duration::from_secs(10), store.close()).await.unwrap();
    test.end().await;
}
