//! The version before the newest migration, which still runs while the new one starts: each of its statements means the same
//! on the new schema.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Column as _, Executor as _, SqlSafeStr as _, Statement as _, TypeInfo};

use super::MIGRATIONS;
use crate::support::postgres::TestDatabase;

const STATEMENTS: &str = include_str!("statements.sql");

/// The schema that the version before brings.
pub fn before() -> i64 {
    let first = STATEMENTS.lines().next().unwrap();
    first.strip_prefix("-- schema ").unwrap().parse().unwrap()
}

/// The oldest version that may work on the new schema.
pub async fn floor(database: &TestDatabase) -> i64 {
    let oldest = sqlx::query_scalar("select oldest from schema_floor");
    oldest.fetch_one(&mut database.connect().await).await.unwrap()
}

/// The newest schema.
pub fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap()
}

fn statements() -> impl Iterator<Item = &'static str> {
    let (_, statements) = STATEMENTS.split_once('\n').unwrap();
    statements.split("\n;\n").filter(|text| !text.trim().is_empty())
}

/// What a statement takes and answers, as the server understands it; or why it is none.
async fn meaning(connection: &mut PgConnection, text: &'static str) -> String {
    let prepared = match connection.prepare(AssertSqlSafe(text).into_sql_str()).await {
        Ok(prepared) => prepared,
        Err(error) => return error.to_string(),
    };
    let parameters = prepared.parameters().unwrap().unwrap_left();
    let parameters: Vec<&str> = parameters.iter().map(TypeInfo::name).collect();
    let columns =
        prepared.columns().iter().map(|column| format!("{} {}", column.name(), column.type_info().name()));
    format!("({}) -> ({})", parameters.join(", "), columns.collect::<Vec<_>>().join(", "))
}

/// What each of them means on this schema.
async fn meanings(connection: &mut PgConnection) -> Vec<String> {
    let mut meanings = Vec::new();
    for text in statements() {
        meanings.push(format!("{}: {}", text.lines().next().unwrap(), meaning(connection, text).await));
    }
    meanings
}

#[tokio::test]
async fn the_statements_are_those_of_a_version_before_the_newest_migration() {
    assert!(before() < newest(), "run .ci/statements, and commit what it writes");
    assert!(statements().count() > 150, "{}", statements().count());
}

#[tokio::test]
async fn every_statement_of_the_version_before_means_the_same_on_the_new_schema() {
    let database = TestDatabase::empty().await;
    let mut connection = database.connect().await;
    MIGRATIONS.run_to(before(), &mut connection).await.unwrap();
    let expected = meanings(&mut connection).await;
    MIGRATIONS.run(&mut connection).await.unwrap();
    let found = meanings(&mut database.connect().await).await;
    let changed: Vec<_> = expected.iter().zip(&found).filter(|(before, after)| before != after).collect();
    assert!(changed.is_empty() || floor(&database).await > before(), "{changed:#?}");
}

#[tokio::test]
async fn a_column_that_the_version_before_reads_can_be_neither_taken_away_nor_changed() {
    for change in [
        "alter table deliveries drop column payload",
        "alter table jobs rename column tries to attempts",
        "alter table deliveries alter column last_status type bigint",
    ] {
        let database = TestDatabase::create().await;
        let mut connection = database.connect().await;
        let before = meanings(&mut connection).await;
        assert!(before.iter().all(|told| told.contains(") -> (")), "{before:#?}");
        connection.execute(change).await.unwrap();
        let after = meanings(&mut database.connect().await).await;
        assert_ne!(before, after, "{change}");
    }
}
