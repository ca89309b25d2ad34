//! An error in the configuration or the command line stops the start, with one line that names it.

use super::home::Home;
use crate::support::postgres::TestDatabase;

#[tokio::test]
async fn a_bad_setting_stops_the_start_with_one_line_that_names_its_key() {
    let cases = [
        (("PURGE__ENGINE__WORKRS", "3"), "engine.workrs"),
        (("PURGE__ENGIN__WORKERS", "3"), "engin"),
        (("PURGE__ENGINE__WORKERS", "none"), "engine.workers = \"none\""),
        (("PURGE__ENGINE__LEASE", "1s"), "engine.lease"),
        (("PURGE__SERVER__BIND", "localhost"), "server.bind"),
        (("PORT", "http"), "environment variable PORT: "),
        (("PURGE__INTAKE__MAX_JSON", "1 GiB"), "intake.max_json"),
        (("GENESYS_BASE_URL", "http://api.example.com"), "orgs.default.base_url"),
        (("GENESYS_CLIENT_SECRET", ""), "orgs.default.client_secret"),
        (("PURGE__ORGS__EU__CLIENT_ID", "x"), "orgs.eu.base_url"),
        (("RETENTION_WEBHOOK_SECRET", "whsec_short"), "webhooks.secret"),
        (("PURGE__APPROVAL__REQUIRED", "always"), "approval.required"),
        (("PURGE__TELEMETRY__OTLP_ENDPOINT", "localhost:4317"), "telemetry.otlp_endpoint"),
        (("PURGE__DATABASE__URL", "mysql://hidden-user:hidden-word@localhost/x"), "database.url"),
        (("PURGE_ENV", "missing"), "config/missing.toml"),
        (("RUST_LOG", "a=b=c"), "RUST_LOG"),
    ];
    for ((name, value), told) in cases {
        let mut home = Home::with_jobs_of(50).await;
        home.set(name, value);
        let output = home.run(&["serve"]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}={value}: {said}");
        assert_eq!(said.lines().count(), 1, "{name}={value}: {said}");
        assert!(said.starts_with("error: ") && said.contains(told), "{name}={value}: {said}");
        for secret in ["hidden-word", "whsec_short", "sandbox-secret"] {
            assert!(!said.contains(secret), "no secret is told: {said}");
        }
        assert!(output.stdout.is_empty());
        assert!(!home.data_dir().exists(), "{name}={value}: nothing was begun");
    }
}

#[tokio::test]
async fn without_an_org_and_with_a_missing_file_the_service_does_not_start() {
    let home = Home::with_jobs_of(50).await;
    let missing = home.run(&["serve", "--config", "nowhere.toml"]).await;
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(
        missing.status.code() == Some(1) && said.contains("nowhere.toml") && said.lines().count() == 1,
        "{said}"
    );
    let mut bare = home.command(&["serve"]);
    for name in [
        "GENESYS_BASE_URL",
        "GENESYS_CLIENT_ID",
        "GENESYS_CLIENT_SECRET",
        "PURGE__ORGS__DEFAULT__REQUESTS_PER_MINUTE",
    ] {
        bare.env_remove(name);
    }
    let output = bare.output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: orgs: ") && said.contains("GENESYS_BASE_URL"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!home.data_dir().exists());
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_and_no_database_is_left_running() {
    let mut home = Home::with_jobs_of(50).await;
    let taken = home.sandbox.addr().to_string();
    home.set("PURGE__SERVER__BIND", &taken);
    let output = home.run(&["serve"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("error: server.bind = ") && last.contains(&taken), "{said}");
    home.until_no_database_runs().await;
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_is_refused_with_the_usage() {
    let home = Home::with_jobs_of(50).await;
    for arguments in [
        &["keys", "create", "--name", "x"][..],
        &["keys", "create", "--name", "x", "--scope", "everything"],
        &["keys", "create", "--scope", "admin"],
        &["keys", "revoke", "x"],
        &["serve", "--role", "observer"],
        &["demo", "--conversations", "5"],
        &["nothing"],
    ] {
        let output = home.run(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    assert!(!home.data_dir().exists());
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_with_its_port() {
    let mut home = Home::with_jobs_of(50).await;
    for (url, told) in [
        (
            "postgres://u:hidden-word@127.0.0.1:1/x",
            "error: can't reach Postgres at 127.0.0.1:1: Connection refused",
        ),
        (
            "postgres://u:hidden-word@nowhere.invalid/x",
            "error: can't reach Postgres at nowhere.invalid:5432: ",
        ),
    ] {
        home.set("DATABASE_URL", url);
        let output = home.run(&["migrate"]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(told) && said.lines().count() == 1, "{said}");
        assert!(!said.contains("communicating") && !said.contains("hidden-word"), "{said}");
    }
}

#[tokio::test]
async fn what_the_database_refuses_is_said_once() {
    let database = TestDatabase::of_its_own_role().await;
    database.sql(&format!("revoke all on api_keys from {}", database.role())).await;
    let mut home = Home::with_jobs_of(50).await;
    home.set("DATABASE_URL", &database.url());
    let output = home.run(&["keys", "list"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("permission denied for table api_keys").count(), 1, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
