//! The files of deploy/ and the statements of docs/operations.md work as described.

use std::collections::BTreeSet;
use std::fs;

use genesys_purge::config::{Environment, Settings, Sources};
use genesys_purge::meters;
use genesys_purge::sandbox::Kind;
use genesys_purge::store::Place;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use crate::commands::home::Home;
use crate::support::postgres::migrate;
use crate::support::process::LONG;
use crate::support::server::NetworkServer;

const OPERATIONS: &str = include_str!("../../docs/operations.md");

fn file(path: &str) -> String {
    fs::read_to_string(format!("{}/deploy/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The two blocks of SQL below "A role that only serves", word for word.
fn grants() -> (&'static str, &'static str) {
    let (_, section) = OPERATIONS.split_once("**A role that only serves.**").unwrap();
    let mut blocks = section.split("```sql\n").skip(1).map(|block| block.split_once("```").unwrap().0);
    (blocks.next().unwrap(), blocks.next().unwrap())
}

/// What the database said, as SQLSTATE.
async fn refused(connection: &mut PgConnection, statement: &str) -> String {
    let error = connection.execute(AssertSqlSafe(statement.to_owned())).await.expect_err(statement);
    error.as_database_error().unwrap().code().unwrap().into_owned()
}

#[tokio::test]
async fn a_role_with_the_documented_grants_serves_and_can_change_no_schema() {
    let server = NetworkServer::start(false).await;
    let (as_superuser, as_owner) = grants();
    let mut superuser = server.superuser("postgres").connect().await.unwrap();
    for statement in as_superuser.split_inclusive(";\n") {
        superuser.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    }
    let url = |role: &str| {
        let url = server.url(role, "genesys_purge");
        url.replace(crate::support::server::PASSWORD, "change-me")
    };
    migrate(&Place::Url(url("genesys_purge_owner").into())).await;
    let options = |role: &str| url(role).parse::<sqlx::postgres::PgConnectOptions>().unwrap();
    let mut owner = options("genesys_purge_owner").connect().await.unwrap();
    owner.execute(AssertSqlSafe(as_owner.to_owned())).await.unwrap();
    // Of a later version.
    owner.execute("create table later (id bigint generated always as identity primary key)").await.unwrap();

    let mut home = Home::with_jobs_of(50).await;
    home.set("DATABASE_URL", &url("genesys_purge_service"));
    let scopes = ["--scope", "purges:read", "--scope", "purges:write", "--scope", "holds:write"];
    let made = home.say(&[&["keys", "create", "--name", "it"][..], &scopes].concat()).await;
    let key = made.lines().last().unwrap().to_owned();
    let serving = home.serve().await;
    let ids = home.sandbox.sandbox().ids_of(Kind::Eligible);
    let hold = json!({ "matter": "m", "conversationIds": [ids[0]] });
    let held = serving.request(&key, Method::POST, "/holds").json(&hold).send().await.unwrap();
    assert_eq!(held.status(), 201);
    let body = json!({ "conversationIds": ids[..5] });
    let purge = serving.request(&key, Method::POST, "/purges").json(&body).send().await.unwrap();
    let purge: Value = purge.json().await.unwrap();
    let path = format!("/purges/{}?wait=60", purge["id"].as_str().unwrap());
    let ended = tokio::time::timeout(LONG, async {
        loop {
            let purge: Value =
                serving.request(&key, Method::GET, &path).send().await.unwrap().json().await.unwrap();
            if purge["finishedAt"].is_string() {
                return purge;
            }
        }
    });
    assert_eq!(ended.await.expect("it ends")["state"], "completed");
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));

    let mut service = options("genesys_purge_service").connect().await.unwrap();
    for statement in [
        "create table mine (id int)",
        "alter table purges add column mine int",
        "drop table purges",
        "truncate events",
        "create index mine on purges (id)",
        "alter table purges disable trigger all",
        "create function mine() returns int language sql as 'select 1'",
        "update schema_floor set oldest = 0",
        "delete from _sqlx_migrations",
        "drop schema public cascade",
    ] {
        assert_eq!(refused(&mut service, statement).await, "42501", "{statement}");
    }
    service.execute("insert into later default values").await.unwrap();
    for connection in [superuser, owner, service] {
        connection.close().await.unwrap();
    }
}

/// Every name that stands before `_bucket`, `{` and the like in an expression.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("genesys_purge_") || word.starts_with("process_"))
}

fn base(name: &str) -> &str {
    let histogram = ["_bucket", "_count", "_sum"].into_iter().find_map(|end| name.strip_suffix(end));
    histogram.filter(|base| base.ends_with("_seconds")).unwrap_or(name)
}

#[test]
fn the_dashboards_ask_for_metrics_that_there_are() {
    let known: BTreeSet<&str> = meters::TABLE.iter().map(|meter| meter.name).collect();
    let mut asked = BTreeSet::new();
    for name in ["purges", "processes"] {
        let dashboard: Value = serde_json::from_str(&file(&format!("grafana/{name}.json"))).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<i64> = panels.iter().filter_map(|panel| panel["id"].as_i64()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}: each panel has an id of its own");
        for panel in panels {
            for target in panel["targets"].as_array().unwrap() {
                let expression = target["expr"].as_str().unwrap();
                assert_eq!(expression.matches('(').count(), expression.matches(')').count(), "{expression}");
                let named: Vec<&str> = names(expression).collect();
                assert!(!named.is_empty(), "{expression}");
                for metric in &named {
                    assert!(known.contains(base(metric)), "{name}: {metric} of {expression}");
                }
                labels_are_known(expression, named[0]);
                asked.extend(named.into_iter().map(|metric| base(metric).to_owned()));
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            for metric in names(&variable["query"].to_string()) {
                assert!(known.contains(base(metric)), "{name}: {metric}");
            }
        }
    }
    assert!(asked.len() > 25, "{asked:?}");
}

/// What it sums by is a label of the metric.
fn labels_are_known(expression: &str, metric: &str) {
    let meter = meters::TABLE.iter().find(|meter| meter.name == base(metric)).unwrap();
    for grouped in expression.split("by (").skip(1) {
        for label in grouped.split_once(')').unwrap().0.split(", ") {
            let is_known = meter.labels.contains(&label) || ["le", "instance"].contains(&label);
            assert!(is_known, "{label} of {expression}");
        }
    }
}

/// `NAME=value` lines, and `NAME: value` lines of a manifest's data.
fn variables(text: &str, between: &str) -> Environment {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines
        .filter_map(|line| line.split_once(between))
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !name.is_empty());
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

#[test]
fn the_settings_of_the_deployments_are_taken() {
    for (text, between) in [
        (file("systemd/environment"), "="),
        (file("kubernetes/config.yaml"), ": "),
        (file("compose.env"), "="),
    ] {
        let environment =
            variables(&text, between).with("GENESYS_CLIENT_ID", "id").with("GENESYS_CLIENT_SECRET", "secret");
        assert!(environment.get("GENESYS_BASE_URL").is_some(), "{text}");
        let sources = Sources { config_file: None, working_dir: "/nonexistent".into(), environment };
        let settings = Settings::load(&sources).unwrap_or_else(|error| panic!("{error}: {text}"));
        settings.require_orgs().unwrap();
    }
    let compose = file("compose.yaml");
    let told = file("compose.env");
    for variable in compose.split("${").skip(1).map(|rest| rest.split([':', '}']).next().unwrap()) {
        assert!(told.contains(&format!("{variable}=")), "deploy/compose.env lacks {variable}");
    }
}

#[test]
fn probes_ask_for_what_is_served() {
    let served = fs::read_to_string(format!("{}/openapi.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let served: BTreeSet<&str> =
        served.lines().filter_map(|line| line.strip_prefix("  /")?.strip_suffix(':')).collect();
    for name in ["kubernetes/api.yaml", "kubernetes/worker.yaml"] {
        let text = file(name);
        let after = text.split("/health/").skip(1);
        let all: Vec<String> = after
            .map(|rest| format!("health/{}", rest.split(|c: char| !c.is_alphanumeric()).next().unwrap()))
            .collect();
        assert!(!all.is_empty(), "{name} has no probe");
        for path in all {
            assert!(served.contains(path.as_str()), "{name} asks for /{path}, which is not served");
        }
    }
}
