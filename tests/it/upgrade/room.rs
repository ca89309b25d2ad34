//! What a new schema leaves the version before room for: what that version writes is still taken, and what it reads it still
//! knows. Whether it decides rightly no catalog can tell.

use std::collections::BTreeMap;

use sqlx::Executor as _;
use sqlx::postgres::PgConnection;

use super::MIGRATIONS;
use super::statements::{before, floor};
use crate::support::postgres::TestDatabase;

/// A schema, as far as it can stand in somebody's way.
#[derive(Debug)]
struct Schema {
    /// By table and name: its type, whether it must have a value, and whether it gets one by itself.
    columns: BTreeMap<(String, String), Column>,
    /// By table and definition: the columns that it is about.
    rules: BTreeMap<(String, String), Vec<String>>,
    /// By type: its words, in their order.
    words: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Column {
    type_name: String,
    is_needed: bool,
    is_filled: bool,
}

const COLUMNS: &str = "
    select attrelid::regclass::text, attname::text, format_type(atttypid, atttypmod), attnotnull,
           atthasdef or attidentity <> ''
    from pg_attribute join pg_class c on c.oid = attrelid
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped";

/// Constraints, unique indexes and triggers.
const RULES: &str = "
    select conrelid::regclass::text, pg_get_constraintdef(oid),
           array(select attname::text from pg_attribute where attrelid = conrelid and attnum = any(conkey))
    from pg_constraint where connamespace = 'public'::regnamespace and conrelid <> 0
    union
    select indrelid::regclass::text, pg_get_indexdef(indexrelid),
           array(select attname::text from pg_attribute where attrelid = indrelid and attnum = any(indkey))
    from pg_index join pg_class c on c.oid = indrelid
    where c.relnamespace = 'public'::regnamespace and indisunique
    union
    select tgrelid::regclass::text, pg_get_triggerdef(oid), '{}'
    from pg_trigger where not tgisinternal";

const WORDS: &str = "
    select enumtypid::regtype::text, array_agg(enumlabel::text order by enumsortorder) from pg_enum group by enumtypid";

/// Triggers that refuse nothing: they write beside what the version before writes what newer ones read.
const HARMLESS: &[&str] = &[
    "deliveries_know_their_org",
    "deliveries_are_listed",
    "events_are_stamped_later",
    "purges_are_found_by_request",
    "released_holds_are_noted",
];

impl Schema {
    async fn read(connection: &mut PgConnection) -> Self {
        type Row = (String, String, String, bool, bool);
        let columns: Vec<Row> = sqlx::query_as(COLUMNS).fetch_all(&mut *connection).await.unwrap();
        let rules: Vec<(String, String, Vec<String>)> =
            sqlx::query_as(RULES).fetch_all(&mut *connection).await.unwrap();
        let words: Vec<(String, Vec<String>)> = sqlx::query_as(WORDS).fetch_all(connection).await.unwrap();
        Self {
            columns: columns
                .into_iter()
                .map(|(table, name, type_name, is_needed, is_filled)| {
                    ((table, name), Column { type_name, is_needed, is_filled })
                })
                .collect(),
            rules: rules.into_iter().map(|(table, rule, columns)| ((table, rule), columns)).collect(),
            words: words.into_iter().collect(),
        }
    }

    fn has_table(&self, table: &str) -> bool {
        self.columns.keys().any(|(known, _)| known == table)
    }

    /// What of this schema stands in the way of a version that knows only the one before.
    fn hindrances(&self, before: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for ((table, name), column) in &self.columns {
            let known = before.columns.get(&(table.clone(), name.clone()));
            match known {
                Some(known) if known != column => {
                    found.push(format!("{table}.{name} was {known:?}, is {column:?}"));
                }
                None if before.has_table(table) && column.is_needed && !column.is_filled => {
                    found.push(format!(
                        "{table}.{name} must have a value that the version before does not give it"
                    ));
                }
                _ => {}
            }
        }
        for ((table, rule), columns) in &self.rules {
            let is_known = before.rules.contains_key(&(table.clone(), rule.clone()));
            let is_of_new =
                columns.iter().any(|name| !before.columns.contains_key(&(table.clone(), name.clone())));
            let is_harmless = HARMLESS.iter().any(|name| rule.contains(&format!(" {name} ")));
            if before.has_table(table) && !is_known && !is_of_new && !is_harmless {
                found.push(format!("{table} has a new rule: {rule}"));
            }
        }
        for (name, words) in &before.words {
            if self.words.get(name).is_none_or(|now| now != words) {
                found.push(format!("{name} has other words: {:?}", self.words.get(name)));
            }
        }
        found
    }
}

#[tokio::test]
async fn what_the_version_before_writes_is_taken_by_the_new_schema() {
    let database = TestDatabase::empty().await;
    let mut connection = database.connect().await;
    MIGRATIONS.run_to(before(), &mut connection).await.unwrap();
    let known = Schema::read(&mut connection).await;
    MIGRATIONS.run(&mut connection).await.unwrap();
    let found = Schema::read(&mut connection).await.hindrances(&known);
    assert!(found.is_empty() || floor(&database).await > before(), "raise schema_floor, or: {found:#?}");
}

#[tokio::test]
async fn whatever_would_refuse_a_write_of_the_version_before_is_found() {
    let mut connection = TestDatabase::create().await.connect().await;
    let before = Schema::read(&mut connection).await;
    assert_eq!(before.hindrances(&before), Vec::<String>::new());
    for (change, is_in_the_way) in [
        ("alter table purges add column weight int", false),
        ("alter table purges add column weight int not null default 1 check (weight > 0)", false),
        ("create table weights (id int primary key)", false),
        ("create type weight as enum ('light')", false),
        ("alter table purges add column weight int not null", true),
        ("alter table purges alter column reference set not null", true),
        ("alter table deliveries alter column last_status type bigint", true),
        ("alter table purges add check (total < 9)", true),
        ("create unique index on purges (reference)", true),
        ("alter type job_state add value 'lost'", true),
        (
            "create trigger t before insert on purges for each statement execute function refuse_change()",
            true,
        ),
    ] {
        connection.execute("begin").await.unwrap();
        connection.execute(change).await.unwrap();
        let found = Schema::read(&mut connection).await.hindrances(&before);
        connection.execute("rollback").await.unwrap();
        assert_eq!(!found.is_empty(), is_in_the_way, "{change}: {found:?}");
    }
}
