//! `doctor`: what it finds, what it advises, and that it changes nothing.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use genesys_purge::app::Role;
use genesys_purge::domain::keys::Scope;
use genesys_purge::sandbox::Call;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use super::home::Home;
use crate::support::postgres::TestDatabase;
use crate::support::process::{LONG, program};
use crate::support::proxy::Proxy;
use crate::support::receiver::SECRET;
use crate::support::{Setup, TestService};

/// The machine of whoever runs the service of a test.
struct Machine {
    /// A disk, where the folder for temporary files may be memory.
    spool: TempDir,
    variables: Vec<(String, String)>,
}

impl Machine {
    fn of(test: &TestService) -> Self {
        let organization = test.sandbox.sandbox().settings();
        let url = test.database.url();
        let spool = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let variables = [
            ("DATABASE_URL", url.as_str()),
            ("GENESYS_BASE_URL", &test.sandbox.url),
            ("GENESYS_CLIENT_ID", &organization.client_id),
            ("GENESYS_CLIENT_SECRET", &organization.client_secret),
            ("RETENTION_WEBHOOK_URL", &test.receiver.url),
            ("RETENTION_WEBHOOK_SECRET", SECRET),
            ("PURGE__SERVER__BIND", test.url.strip_prefix("http://").unwrap()),
            ("PURGE__INTAKE__SPOOL_DIR", spool.path().to_str().unwrap()),
            ("PURGE__INTAKE__MAX_IDS", "1000"),
            // Of other commands: no setting of the service.
            ("PURGE_URL", "http://127.0.0.1:1"),
            ("PURGE_API_KEY", "gpk_of_the_shell"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { spool, variables }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = program(&self.variables, self.spool.path());
        let output =
            timeout(LONG, command.arg("doctor").args(arguments).output()).await.expect("it ends").unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let said = String::from_utf8(output.stdout).unwrap();
        for secret in ["sandbox-secret", SECRET, "gpk_"] {
            assert!(!said.contains(secret), "{secret} is told: {said}");
        }
        (output.status.code(), said)
    }

    /// What it finds, and how it ends.
    async fn examined(&self, arguments: &[&str]) -> Findings {
        let (code, said) = self.run(&[&["--json"], arguments].concat()).await;
        let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
        assert_eq!(report["ok"], code == Some(0), "{report}");
        Findings { code, rows: report["findings"].as_array().unwrap().clone() }
    }
}

#[derive(Debug)]
struct Findings {
    code: Option<i32>,
    rows: Vec<Value>,
}

impl Findings {
    /// The one of that check with that verdict; its detail, and what to do.
    #[track_caller]
    fn find(&self, check: &str, verdict: &str) -> (String, String) {
        let row = self.rows.iter().find(|row| row["check"] == check && row["verdict"] == verdict);
        let row = row.unwrap_or_else(|| panic!("no {verdict} of {check}: {self:#?}"));
        let text = |member: &str| row[member].as_str().unwrap_or_default().to_owned();
        let (detail, remedy) = (text("detail"), text("remedy"));
        assert_eq!(
            remedy.is_empty(),
            ["ok", "skipped"].contains(&verdict),
            "what is wrong can be mended: {row}"
        );
        (detail, remedy)
    }

    /// What is not well, in one word each, but for who runs the tests.
    fn unwell(&self) -> Vec<(&str, &str)> {
        let unwell = self.rows.iter().filter(|row| row["verdict"] != "ok" && row["check"] != "user");
        unwell.map(|row| (row["check"].as_str().unwrap(), row["verdict"].as_str().unwrap())).collect()
    }
}

#[tokio::test]
async fn a_healthy_service_is_found_well_and_nothing_is_sent_to_its_receiver() {
    let test = Setup::new().database(TestDatabase::durable().await).second_org().start().await;
    let machine = Machine::of(&test)
        .set("PURGE__ORGS__EU__BASE_URL", &test.sandbox.url)
        .set("PURGE__ORGS__EU__CLIENT_ID", "sandbox-client")
        .set("PURGE__ORGS__EU__CLIENT_SECRET", "sandbox-secret");
    let (code, said) = machine.run(&[]).await;
    assert_eq!(code, Some(0), "{said}");
    // Who runs tests as root is told of that alone.
    let is_root = nix::unistd::geteuid().is_root();
    let end = if is_root { "checks: 1 to look at\n" } else { "checks, all well\n" };
    assert!(said.ends_with(end) && !said.contains('\u{1b}'), "{said}");
    for line in [
        "ok    database                PostgreSQL ",
        "ok    default: token ",
        "ok    default: details query ",
        "ok    default: clock ",
        "ok    webhook ",
        "ok    schema                  up to date\n",
        "ok    session ",
        "ok    durability ",
        "ok    eu: org ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let findings = machine.examined(&[]).await;
    assert_eq!((findings.code, findings.unwell()), (Some(0), vec![]), "{findings:#?}");
    findings.find("user", if is_root { "warn" } else { "ok" });
    assert!(findings.find("address", "ok").0.contains("a genesys-purge answers there"));
    assert_eq!(test.receiver.wait_for(0, |_| true).await.len(), 0, "a HEAD is no event");
    test.assert_no_breach();
    test.end().await;
}

#[tokio::test]
async fn wrong_credentials_and_missing_rights_are_told_with_the_setting_or_the_right() {
    let test = TestService::start().await;
    let wrong = Machine::of(&test).set("GENESYS_CLIENT_SECRET", "not-the-secret");
    let findings = wrong.examined(&[]).await;
    assert_eq!(findings.code, Some(1));
    let (detail, remedy) = findings.find("token", "fail");
    assert!(
        detail.contains("refused the credentials") && remedy.contains("orgs.default.client_secret"),
        "{remedy}"
    );
    assert!(!detail.contains("not-the-secret"));
    findings.find("details query", "skipped");

    let away = Machine::of(&test).set("GENESYS_LOGIN_URL", "http://127.0.0.1:1");
    assert!(away.examined(&[]).await.find("token", "fail").1.contains("orgs.default.login_url"));

    test.sandbox.sandbox().patch_settings(json!({ "scope": "analytics:readonly" })).unwrap();
    let findings = Machine::of(&test).examined(&[]).await;
    findings.find("token", "ok");
    let (detail, _) = findings.find("details query", "fail");
    assert!(detail.contains("403") && detail.contains("analytics:conversation:delete"), "{detail}");
    test.end().await;
}

#[tokio::test]
async fn a_file_of_secrets_that_everybody_may_read_is_a_warning() {
    let test = TestService::start().await;
    let machine = Machine::of(&test);
    let file = machine.spool.path().join(".env");
    std::fs::write(&file, format!("RETENTION_WEBHOOK_SECRET={SECRET}")).unwrap();
    for (mode, verdict) in [(0o600, "ok"), (0o644, "warn")] {
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let findings = machine.examined(&["--offline"]).await;
        let (detail, remedy) = findings.find("secrets", verdict);
        assert_eq!(detail.contains(".env"), verdict == "warn", "{detail}");
        assert_eq!(remedy.contains("chmod o-rw .env"), verdict == "warn", "{remedy}");
    }
    test.end().await;
}

#[tokio::test]
async fn a_clock_that_is_off_by_minutes_fails_and_by_seconds_warns() {
    let test = TestService::start().await;
    let machine = Machine::of(&test);
    for (skew, verdict, told) in [(-600_000, "fail", "behind"), (30_000, "warn", "ahead of")] {
        test.sandbox.sandbox().patch_settings(json!({ "dateSkewMs": skew })).unwrap();
        let (detail, _) = machine.examined(&[]).await.find("clock", verdict);
        assert!(detail.contains(told), "{detail}");
    }
    test.end().await;
}

#[tokio::test]
async fn without_a_database_the_other_checks_go_on() {
    let test = TestService::start().await;
    let machine = Machine::of(&test).set("DATABASE_URL", "postgres://u:hidden-word@127.0.0.1:1/x");
    let findings = machine.examined(&[]).await;
    assert_eq!(findings.code, Some(1));
    let (detail, remedy) = findings.find("database", "fail");
    assert!(
        detail.starts_with("can't reach Postgres at 127.0.0.1:1: ")
            && detail.contains("refused")
            && remedy.contains("database.url (DATABASE_URL)"),
        "{detail}"
    );
    assert!(!format!("{findings:?}").contains("hidden-word"));
    findings.find("token", "ok");
    findings.find("details query", "ok");
    test.end().await;
}

#[tokio::test]
async fn a_schema_that_is_behind_or_ahead_is_told_and_its_tables_are_left_alone() {
    let mut test = TestService::start().await;
    let machine = Machine::of(&test);
    test.stop_service().await;
    test.sql("insert into _sqlx_migrations select 9999, 'later', now(), true, '', 0").await;
    for verdict in ["warn", "fail"] {
        let findings = machine.examined(&[]).await;
        let (detail, remedy) = findings.find("schema", verdict);
        assert!(detail.contains("9999") && remedy.contains("newer version"), "{detail}");
        findings.find("details query", "ok");
        test.sql("update schema_floor set oldest = 9999").await;
    }
    test.sql("delete from _sqlx_migrations where version > 1").await;
    let findings = machine.examined(&[]).await;
    assert_eq!(findings.code, Some(1));
    assert!(findings.find("schema", "fail").1.contains("genesys-purge migrate"));
    findings.find("records", "skipped");
    findings.find("details query", "ok");
}

#[tokio::test]
async fn settings_that_lose_what_was_committed_are_failures() {
    // The usual server of tests forces nothing to disk.
    let test = Setup::new().role(Role::Api).database(TestDatabase::of_its_own_role().await).start().await;
    let machine = Machine::of(&test);
    let findings = machine.examined(&["--offline"]).await;
    assert_eq!(findings.code, Some(1));
    assert!(findings.find("durability", "fail").1.contains("fsync = on"), "{findings:#?}");
    findings.find("session", "ok");
    let pooler = Proxy::stripping(&test.database).await;
    let machine = machine.set("DATABASE_URL", &pooler.url());
    let (detail, remedy) = machine.examined(&["--offline"]).await.find("session", "fail");
    assert!(detail.contains("synchronous_commit is \"off\""), "{detail}");
    assert!(remedy.contains("pooler") && remedy.contains("search_path"), "{remedy}");
    test.end().await;
}

#[tokio::test]
async fn what_waits_for_somebody_is_a_warning() {
    let setup = Setup::new().database(TestDatabase::durable().await).second_org();
    let test = setup.env("PURGE__ENGINE__PAUSED", "true").start().await;
    test.sql("update api_keys set revoked_at = now()").await;
    test.sql(
        "update orgs set blocked_call = 'details', blocked_code = 'forbidden', blocked_detail = 'no rights',
         blocked_at = now(), probe_at = now() where name = 'default'",
    )
    .await;
    test.sql(
        "update orgs set stopped_at = now(), stopped_by = 'ops', stopped_reason = 'audit' where name = 'eu'",
    )
    .await;
    test.sql(
        "with event as (insert into events (id, type, actor, payload, at)
             values (gen_random_uuid(), 'x', 'x', '{}', now()) returning id)
         insert into deliveries (id, event_id, endpoint, payload, state)
         select gen_random_uuid(), id, 'retention', '{}', 'dead' from event",
    )
    .await;
    test.sql(
        "insert into jobs (id, org, state, ids, size, lost_since)
         values (gen_random_uuid(), 'default', 'in_doubt', '{}', 0, now())",
    )
    .await;
    let machine = Machine::of(&test).set("RETENTION_WEBHOOK_URL", "http://127.0.0.1:1/hidden-path");
    let findings = machine.examined(&[]).await;
    assert_eq!(findings.code, Some(0), "warnings are allowed: {findings:#?}");
    assert!(findings.find("keys", "warn").1.contains("genesys-purge keys create"));
    assert!(findings.find("deliveries", "warn").0.starts_with("1 "));
    assert!(findings.find("jobs in doubt", "warn").0.starts_with("1 "));
    test.sql("update deliveries set state = 'pending'").await;
    let machine_without = Machine::of(&test).set("RETENTION_WEBHOOK_URL", "");
    let (detail, remedy) = machine_without.examined(&[]).await.find("waiting deliveries", "warn");
    assert!(detail.starts_with("1 ") && remedy.contains("RETENTION_WEBHOOK_URL"), "{detail}");
    let orgs: Vec<String> = findings
        .rows
        .iter()
        .filter(|row| row["check"] == "org")
        .map(|row| format!("{} {}", row["org"].as_str().unwrap(), row["detail"].as_str().unwrap()))
        .collect();
    assert!(
        orgs[0].starts_with("default blocked since ") && orgs[0].ends_with("(forbidden): no rights"),
        "{orgs:?}"
    );
    // The service is paused, whatever the configuration of this machine says, which knows the default alone.
    assert!(
        orgs[1].starts_with("default paused since ") && orgs[3].starts_with("eu paused since "),
        "{orgs:?}"
    );
    assert!(orgs[2].starts_with("eu stopped since ") && orgs[2].ends_with("by ops: audit"), "{orgs:?}");
    assert!(orgs[4].starts_with("eu the database knows it"), "{orgs:?}");
    let (detail, _) = findings.find("webhook", "warn");
    assert!(detail.contains("refused") && !detail.contains("hidden-path"), "{detail}");
    test.end().await;
}

#[tokio::test]
async fn the_limits_of_an_org_hold_for_doctor_too() {
    let test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    let machine = Machine::of(&test);
    test.fault(json!({ "call": "details", "times": 1, "fault": { "retryAfter": "60" } }));
    assert!(machine.examined(&[]).await.find("details query", "warn").0.contains("throttled"));
    assert_eq!(test.calls(Call::Details, "429"), 1);
    let findings = machine.examined(&[]).await;
    assert!(findings.find("details query", "skipped").0.contains("no call is allowed"), "{findings:#?}");
    assert_eq!(test.calls(Call::Details, "200"), 0, "Genesys asked everybody for silence");
    test.end().await;
}

#[tokio::test]
async fn offline_nobody_is_called() {
    let setup = Setup::new().database(TestDatabase::durable().await);
    let test = setup.env("PURGE__ENGINE__PAUSED", "true").start().await;
    let findings = Machine::of(&test).examined(&["--offline"]).await;
    assert_eq!(findings.code, Some(0));
    assert_eq!(findings.unwell(), [("org", "warn"), ("genesys", "skipped"), ("webhook", "skipped")]);
    let paused = Machine::of(&test).set("PURGE__ENGINE__PAUSED", "true").examined(&["--offline"]).await;
    assert!(paused.find("engine", "warn").0.contains("engine.paused is true"), "{paused:#?}");
    assert_eq!(test.calls(Call::Token, "200"), 0);
    test.end().await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_ends_it() {
    let test = TestService::start().await;
    test.make_key(&[Scope::PurgesRead], None).await;
    let findings = Machine::of(&test).set("PURGE__ENGINE__WORKRS", "3").examined(&[]).await;
    assert_eq!((findings.code, findings.rows.len()), (Some(1), 1));
    assert!(findings.find("configuration", "fail").0.contains("engine.workrs"));
    test.end().await;
}

#[tokio::test]
async fn where_no_database_runs_none_is_made() {
    let home = Home::with_jobs_of(50).await;
    let said = home.say(&["doctor"]).await;
    assert!(said.contains("warn  database                none runs on "), "{said}");
    assert!(said.contains("ok    default: details query  answered"), "{said}");
    assert!(!home.data_dir().exists(), "{said}");
}
