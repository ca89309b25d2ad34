//! Where settings come from, and which source wins.

use super::*;

#[test]
fn each_layer_wins_over_the_ones_below_it() {
    let workers = |number: u32| format!("[engine]\nworkers = {number}");
    let mut fixture = Fixture::new();
    assert_eq!(fixture.settings().engine.workers, 32);
    fixture = fixture.file("config/default.toml", &workers(2));
    assert_eq!(fixture.settings().engine.workers, 2);
    fixture = fixture.file("config/staging.toml", &workers(3)).env("PURGE_ENV", "staging");
    assert_eq!(fixture.settings().engine.workers, 3);
    fixture = fixture.file(".env", "PURGE__ENGINE__WORKERS=5");
    assert_eq!(fixture.settings().engine.workers, 5);
    assert_eq!(fixture.settings().files, ["config/default.toml", "config/staging.toml", ".env"]);
    fixture = fixture.config_file(&workers(4));
    assert_eq!(fixture.settings().engine.workers, 4, "--config wins over the stage");
    fixture = fixture.env("PURGE__ENGINE__WORKERS", "6");
    assert_eq!(fixture.settings().engine.workers, 6);
}

#[test]
fn whoever_may_write_to_the_working_folder_turns_no_service_that_was_told_its_settings() {
    let fixture = Fixture::new()
        .file("config/default.toml", "[retention]\ndefault_days = 0")
        .file("config/staging.toml", "[engine]\nworkers = 3")
        .file(".env", "PURGE_ENV=staging\nPURGE__SERVER__BIND=0.0.0.0:1");
    assert_eq!(fixture.settings().retention.default_days, 0);
    let told = fixture.config_file(ORG);
    let settings = told.settings();
    assert_ne!(settings.retention.default_days, 0);
    assert!(settings.server.bind.ip().is_loopback());
    assert_eq!((settings.engine.workers, settings.files), (32, vec!["given.toml".to_owned()]));
    let asked = told.env("PURGE_ENV", "staging").settings();
    assert_eq!((asked.engine.workers, asked.files.len()), (3, 2), "what the environment names is read");
}

#[test]
fn layers_are_laid_over_each_other_key_by_key_and_lists_as_a_whole() {
    let settings = Fixture::new()
        .config_file(&format!("{ORG}max_batch = 7\n[webhooks]\nretry_schedule = ['1s', '2s']"))
        .env("PURGE__ORGS__EU__MAX_CONCURRENT_JOBS", "10")
        .env("PURGE__WEBHOOKS__RETRY_SCHEDULE", "3s")
        .settings();
    let org = &settings.orgs["eu"];
    assert_eq!((org.max_batch, org.max_concurrent_jobs, org.client_id.as_str()), (7, 10, "id"));
    assert_eq!(settings.webhooks.retry_schedule, [seconds(3)]);
}

#[test]
fn the_stage_may_be_named_in_dotenv_and_the_environment_wins() {
    let fixture = Fixture::new()
        .file("config/staging.toml", "[engine]\nworkers = 3")
        .file("config/production.toml", "[engine]\nworkers = 4")
        .file(".env", "PURGE_ENV=staging");
    assert_eq!(fixture.settings().engine.workers, 3);
    assert_eq!(fixture.env("PURGE_ENV", "production").settings().engine.workers, 4);
}

#[test]
fn the_plain_names_fill_their_settings() {
    let settings = Fixture::new()
        .genesys()
        .env("DATABASE_URL", "postgres://u:pw@db/purge")
        .env("GENESYS_LOGIN_URL", "https://login.mypurecloud.com")
        .env("RETENTION_WEBHOOK_URL", "http://receiver.internal/hooks/t0ken")
        .env("RETENTION_WEBHOOK_SECRET", "whsec_hunter2hunter2hunter2hunter2hunter2h")
        .env("PORT", "9000")
        .settings();
    let org = &settings.orgs["default"];
    assert_eq!(org.base_url.as_str(), "https://api.mypurecloud.com/");
    assert_eq!(org.login_url.as_str(), "https://login.mypurecloud.com/");
    assert_eq!((org.client_id.as_str(), org.client_secret.expose_secret()), ("id", "hunter2"));
    assert_eq!(settings.database.url.unwrap().expose_secret(), "postgres://u:pw@db/purge");
    assert_eq!(settings.webhooks.url.unwrap().expose().as_str(), "http://receiver.internal/hooks/t0ken");
    assert_eq!(
        settings.webhooks.secret.unwrap().expose_secret(),
        "whsec_hunter2hunter2hunter2hunter2hunter2h"
    );
    assert_eq!(settings.server.bind.to_string(), "127.0.0.1:9000");
}

#[test]
fn a_prefixed_name_wins_over_a_plain_one_of_the_same_layer_and_a_higher_layer_over_both() {
    let fixture = Fixture::new()
        .genesys()
        .file(".env", "PURGE__ORGS__DEFAULT__CLIENT_ID=prefixed-in-file\nGENESYS_CLIENT_ID=plain-in-file");
    assert_eq!(fixture.settings().orgs["default"].client_id, "id");
    let fixture = fixture.env("PURGE__ORGS__DEFAULT__CLIENT_ID", "prefixed");
    assert_eq!(fixture.settings().orgs["default"].client_id, "prefixed");
}

#[test]
fn port_is_only_the_port_of_the_address_below() {
    let bind = "[server]\nbind = '0.0.0.0:7000'";
    let fixture = Fixture::new().file("config/default.toml", bind).env("PORT", "9000");
    assert_eq!(fixture.settings().server.bind.to_string(), "0.0.0.0:9000");
    let fixture = fixture.file(".env", "PURGE__SERVER__BIND=[::1]:1");
    assert_eq!(fixture.settings().server.bind.to_string(), "[::1]:9000");
    let fixture = fixture.env("PURGE__SERVER__BIND", "127.0.0.1:2");
    assert_eq!(fixture.settings().server.bind.to_string(), "127.0.0.1:2");
}

#[test]
fn values_from_the_environment_arrive_unchanged() {
    let settings = Fixture::new()
        .genesys()
        .env("GENESYS_CLIENT_ID", "1e5")
        .env("GENESYS_CLIENT_SECRET", "007")
        .env("PURGE__RETENTION__RULES", "")
        .env("PURGE__WEBHOOKS__RETRY_SCHEDULE", " 1s, 2m ,3h")
        .env("PURGE__ENGINE__PAUSED", "true")
        .env("PURGE__ENGINE__POLL_INITIAL", "200ms")
        .settings();
    let org = &settings.orgs["default"];
    assert_eq!((org.client_id.as_str(), org.client_secret.expose_secret()), ("1e5", "007"));
    assert_eq!(settings.webhooks.retry_schedule, [1, 120, 10800].map(seconds));
    assert!(settings.engine.paused);
    assert_eq!(settings.engine.poll_initial, Duration::from_millis(200));
}

#[test]
fn dotenv_is_read_with_its_quotes_and_comments_and_leaves_the_process_alone() {
    let settings = Fixture::new()
        .genesys()
        .file(
            ".env",
            "# local\nexport PURGE__ENGINE__WORKERS=5 # few\nDATABASE_URL='postgres://u:p$w@db/purge'\n",
        )
        .settings();
    assert_eq!(settings.engine.workers, 5);
    assert_eq!(settings.database.url.unwrap().expose_secret(), "postgres://u:p$w@db/purge");
    assert_eq!(Environment::of_process().get("PURGE__ENGINE__WORKERS"), None);
}

#[test]
fn empty_text_takes_back_what_a_lower_layer_set() {
    let settings = Fixture::new()
        .config_file(&format!("{ORG}[webhooks]\nurl = 'https://receiver.example'\nsecret = 'whsec_hunter2hunter2hunter2hunter2hunter2h'"))
        .file("secret", "from-file")
        .env("PURGE__WEBHOOKS__URL", "")
        .env("RETENTION_WEBHOOK_SECRET", "")
        .env("PURGE__ORGS__EU__CLIENT_SECRET", "")
        .env("PURGE__ORGS__EU__CLIENT_SECRET_FILE", "secret")
        .settings();
    assert!(settings.webhooks.url.is_none());
    assert!(settings.webhooks.secret.is_some(), "an empty plain name counts as unset");
    assert_eq!(settings.orgs["eu"].client_secret.expose_secret(), "from-file");
}

#[test]
fn a_secret_comes_from_its_file_without_the_line_break_at_the_end() {
    for (text, expected) in [
        ("s3cret", Ok("s3cret")),
        ("s3cret\n", Ok("s3cret")),
        ("s3cret\r\n", Ok("s3cret")),
        (" s3 cret ", Ok(" s3 cret ")),
        ("", Err("empty")),
        ("\n", Err("empty")),
        ("s3cret\n\n", Err("nothing else")),
        ("s3cret\nand more\n", Err("nothing else")),
    ] {
        let org = ORG.replace("client_secret = 'hunter2'", "client_secret_file = 'mounted/secret'");
        let fixture = Fixture::new().config_file(&org).file("mounted/secret", text);
        match expected {
            Ok(secret) => assert_eq!(fixture.settings().orgs["eu"].client_secret.expose_secret(), secret),
            Err(problem) => {
                let error = fixture.error();
                assert!(error.starts_with("orgs.eu.client_secret_file (from given.toml)"), "{error}");
                assert!(error.contains(problem) && !error.contains("s3cret"), "{error}");
            }
        }
    }
}

#[test]
fn the_spool_folder_is_a_disk_unless_somebody_says_otherwise() {
    let spool_dir = |fixture: &Fixture| fixture.settings().intake.spool_dir;
    let fixture = Fixture::new();
    assert_eq!(
        spool_dir(&fixture),
        Path::new(if Path::new("/var/tmp").is_dir() { "/var/tmp" } else { "/tmp" })
    );
    let fixture = fixture.env("TMPDIR", "/scratch");
    assert_eq!(spool_dir(&fixture), Path::new("/scratch"));
    let fixture = fixture.env("PURGE__INTAKE__SPOOL_DIR", "spool");
    assert_eq!(spool_dir(&fixture), fixture.dir.path().join("spool"));
}

#[test]
fn no_debug_output_shows_a_secret() {
    let fixture = Fixture::new()
        .genesys()
        .env("DATABASE_URL", "postgres://u:hunter2@db/purge")
        .env("RETENTION_WEBHOOK_URL", "https://receiver.example/hunter2?token=hunter2")
        .env("RETENTION_WEBHOOK_SECRET", "whsec_hunter2hunter2hunter2hunter2hunter2h");
    let settings = format!("{:?}", fixture.settings());
    assert!(!settings.contains("hunter2"), "{settings}");
    assert!(settings.contains("https://receiver.example/..."), "{settings}");
    let environment = format!("{:?}", fixture.environment);
    assert!(
        environment.contains("GENESYS_CLIENT_SECRET") && !environment.contains("hunter2"),
        "{environment}"
    );
}

#[test]
fn orgs_may_be_empty_until_somebody_requires_them() {
    let error = Fixture::new().settings().require_orgs().unwrap_err().to_string();
    assert!(error.starts_with("orgs: no Genesys organization is configured"), "{error}");
    assert_eq!(Fixture::new().genesys().settings().require_orgs(), Ok(()));
}

#[test]
fn files_of_secrets_that_everybody_may_read_are_named() {
    use std::os::unix::fs::PermissionsExt as _;

    let fixture = Fixture::new()
        .genesys()
        .file("config/default.toml", "[webhooks]\nsecret = 'whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=='")
        .file("config/staging.toml", "[database]\nurl = 'postgres://u:hunter2@db/purge'\n[orgs.eu]\nbase_url = 'https://api.mypurecloud.de'\n\
             client_id = 'id'\nclient_secret_file = 'secret'")
        .file("secret", "hunter2")
        .file(".env", "PURGE_ENV=staging\nRETENTION_WEBHOOK_URL=http://127.0.0.1/hunter2")
;
    let all = ["config/default.toml", "config/staging.toml", ".env", "secret"];
    let set = |name: &str, mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(fixture.dir.path().join(name), permissions).unwrap();
    };
    let set_all = |mode| {
        for name in all {
            set(name, mode);
        }
    };
    set_all(0o604);
    assert_eq!(fixture.settings().exposed_files, all);
    for name in all {
        set_all(0o640);
        assert!(fixture.settings().exposed_files.is_empty());
        set(name, 0o644);
        assert_eq!(fixture.settings().exposed_files, [name]);
    }
    set_all(0o600);
    let with_org = fixture.config_file(ORG);
    assert_eq!(with_org.settings().exposed_files, ["given.toml"]);
}
