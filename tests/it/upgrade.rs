//! Upgrades: every migration runs over a database in which its predecessors worked, and the service goes on from there.
//!
//! `upgrade/NNNN.sql` is what such a database holds after migration NNNN: `$1` to `$9` stand for eligible
//! conversations. A migration without one fails here.
//!
//! While an upgrade is under way the version before works on the schema of the new one: `upgrade/statements.sql` are all its
//! statements.

mod floor;
mod room;
mod statements;

use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Kind;
use reqwest::Method;
use serde_json::json;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use crate::support::Setup;
use crate::support::books::{all_final, assert_books};
use crate::support::postgres::TestDatabase;
use crate::support::service::read;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The sample data of a migration, with the conversations put in.
fn sample(version: i64, ids: &[Uuid]) -> String {
    let path = format!("{}/tests/it/upgrade/{version:04}.sql", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    (1..=9).fold(text, |text, number| text.replace(&format!("${number}"), &ids[number - 1].to_string()))
}

#[tokio::test]
async fn every_migration_runs_over_what_its_predecessors_left_and_the_work_goes_on() {
    let setup = Setup::new();
    let ids = setup.ids_of(Kind::Eligible);
    let database = TestDatabase::empty().await;
    let mut connection = database.connect().await;
    for migration in MIGRATIONS.iter() {
        MIGRATIONS.run_to(migration.version, &mut connection).await.unwrap();
        connection.execute(AssertSqlSafe(sample(migration.version, &ids))).await.unwrap();
    }

    let test = setup.database(database).start().await;
    all_final(&test).await;
    let endings: Vec<(String, i32, i64)> =
        sqlx::query_as("select state::text, run, purged from purges order by id")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let end = |state: &str, run, purged| (state.to_owned(), run, purged);
    let expected = [
        end("completed", 1, 3),
        end("completed", 1, 2),
        end("completed", 1, 0),
        end("completed", 2, 1),
        end("canceled", 1, 0),
        end("failed", 1, 0),
        end("completed", 1, 0),
    ];
    assert_eq!(endings, expected);
    // A limited key reads by the indexes that begin with the org.
    for key in [test.key.clone(), test.make_key(Scope::ALL, Some(&["default"])).await] {
        for (list, number) in [
            ("purges?reference=R-1", 1),
            ("purges?label=team:a", 1),
            ("purges?label=team:b", 1),
            ("holds?limit=9", 3),
            ("holds?active=false", 1),
            ("purges?requestedBy=exporter&createdAfter=2020-01-01T00:00:00Z", 7),
            ("webhook-endpoints", 1),
            ("webhook-deliveries?purge=01900000-0000-7000-8000-000000000003", 1),
        ] {
            let request = test.request_as(&key, Method::GET, &format!("/{list}"));
            let (_, found) = read(request.send().await.unwrap()).await;
            let found = found["items"].as_array().unwrap();
            assert_eq!(found.len(), number, "what was there before is found: {list} {found:?}");
        }
    }
    let tried = test.get("/webhook-deliveries/01900000-0000-7000-8000-0000000000c1").await;
    assert_eq!(tried["attempts"].as_array().unwrap().last().unwrap()["response"], "oops", "{tried}");
    test.receiver.wait_for(6, |hook| hook.body["purgeId"].is_string() && hook.body["run"].is_u64()).await;
    let late = "2b4e28ba-2fa1-4d2b-883f-0016d3cca427";
    let story = test.get(&format!("/conversations/{late}")).await;
    let last = story["purges"][0]["decisions"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["code"], &last["jobId"]), (&json!("gone_late"), &json!("late-1")), "{story}");
    let (_, hold) = test.post("/holds", &json!({ "matter": "M", "conversationIds": [late] })).await;
    assert_eq!(hold["tooLate"], json!([late]), "{hold}");
    let kept = test.conversations("01900000-0000-7000-8000-000000000007".parse().unwrap()).await;
    let details = ["kept until 2030-01-02T03:04:05.678Z", "kept until 2031-01-02T03:04:05Z"];
    assert_eq!(kept.iter().map(|row| &row["detail"]).collect::<Vec<_>>(), details);
    for (row, detail) in kept.iter().zip(details) {
        let story = test.get(&format!("/conversations/{}", row["conversationId"].as_str().unwrap())).await;
        assert_eq!(story["purges"][0]["decisions"][0]["detail"], detail, "{story}");
    }
    test.assert_no_breach();
    assert_books(&test).await;
    let unnumbered = "select (select count(*) from events) - (select count(*) from event_numbers)";
    test.wait_until("every event has its number", async || test.number(unnumbered).await == 0).await;
    let feed = test.get("/events?limit=1000").await;
    let is_first =
        |id: &str| feed["items"].as_array().unwrap().iter().position(|event| event["id"] == id).unwrap();
    let (before, after) = ("01900000-0000-7000-8000-000000000011", "01900000-0000-7000-8000-0000000000e4");
    assert!(is_first(before) < is_first(after), "{feed}");
}
