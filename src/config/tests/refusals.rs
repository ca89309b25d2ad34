//! What is taken, what is refused, and in which words.

use super::*;

/// `(key, value)`, set in the environment.
const LAWFUL: &[(&str, &str)] = &[
    ("server.bind", "[::]:0"),
    ("server.health_bind", "[::]:0"),
    ("server.request_timeout", "1m 30s"),
    ("database.url", "postgresql:///purge?host=/run/postgresql"),
    ("database.archive_url", "https://mirror.internal/postgres.tgz?token=x"),
    ("database.max_connections", "4"),
    ("database.promotion", "lossless"),
    ("database.pooler", "none"),
    ("intake.max_ids", "100000000"),
    ("intake.purges_per_minute", "0"),
    ("intake.open_purges_per_key", "1000000"),
    ("intake.max_json", "1024"),
    ("intake.max_json", "256 MiB"),
    ("intake.upload_timeout", "24h"),
    ("intake.min_rate", "0"),
    ("intake.min_rate", "1 MiB"),
    ("engine.workers", "1"),
    ("engine.workers", " 7 "),
    ("engine.paused", "false"),
    ("engine.poll_max", "5s"),
    ("engine.lease", "45s"),
    ("engine.intent_ttl", "6001ms"),
    ("engine.shutdown_grace", "0s"),
    ("engine.job_deadline", "8784h"),
    ("orgs.default.base_url", "http://127.0.0.1:4000"),
    ("orgs.default.base_url", "http://127.8.9.10/prefix"),
    ("orgs.default.base_url", "http://[::1]:4000"),
    ("orgs.default.base_url", "http://localhost:4000"),
    ("orgs.default.base_url", "http://genesys.localhost:4000"),
    ("orgs.default.max_batch", "1000"),
    ("orgs.default.details_batch", "1"),
    ("orgs.default.driver", "analytics_purge"),
    ("orgs.default.requests_per_minute", "0"),
    ("orgs.default.mix_purges", "false"),
    ("orgs.default.max_conflict_percent", "100"),
    ("orgs.default.conflict_jobs", "1"),
    ("retention.default_days", "0"),
    ("retention.unknown_age", "purge"),
    ("approval.required", "never"),
    ("webhooks.url", "http://10.0.0.8/hooks"),
    ("webhooks.timeout", "30s"),
    (
        "webhooks.secret",
        "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwfqSmxj4pxSCr71UHsTLsX5lUd2rr6+d5JCHupCFyTFIQ==",
    ),
    ("webhooks.allowed_networks", ""),
    ("webhooks.allowed_networks", "10.0.0.0/8, fd00::/8,192.168.7.9/32"),
    ("webhooks.only_allowed_networks", "true"),
    ("webhooks.allowed_ports", "443"),
    ("webhooks.allowed_ports", "80, 443,1024-65535"),
    ("telemetry.log_format", "json"),
    ("telemetry.metrics", "open"),
    ("telemetry.otlp_endpoint", ""),
    ("telemetry.otlp_endpoint", "http://localhost:4318/otlp"),
];

#[test]
fn lawful_values_are_taken() {
    for &(key, value) in LAWFUL {
        let name = format!("PURGE__{}", key.replace('.', "__").to_uppercase());
        if let Err(error) = Fixture::new().genesys().env(&name, value).load() {
            panic!("{name}={value}: {error}");
        }
    }
}

const SUM: &str = "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b";
const WHOLE: &str = "expected a whole number from 1 to";
const DURATION: &str = "expected a duration such as";

/// `(key, value, what the error says is expected)`, set in the environment.
const BAD: &[(&str, &str, &str)] = &[
    ("server.bind", "localhost:8080", "expected an IP address and a port"),
    ("server.bind", "127.0.0.1", "expected an IP address and a port"),
    ("server.bind", "", "expected an IP address and a port"),
    ("server.health_bind", "8081", "expected an IP address and a port"),
    ("server.request_timeout", "30", DURATION),
    ("server.request_timeout", "0s", "expected a duration longer than 0s"),
    ("server.request_timeout", "-5s", DURATION),
    ("database.archive_url", "none", "expected a URL such as https://"),
    ("database.archive_url", "ftp://mirror.internal/postgres.tgz", "expected a URL such as https://"),
    ("database.archive_sha256", "abc", "expected a SHA-256, 64 hexadecimal digits"),
    ("database.archive_sha256", SUM, "expected none without database.archive_url"),
    ("database.url", "mysql://u:hunter2@db/purge", "expected a URL such as postgres://"),
    ("database.url", "db:5432", "expected a URL such as postgres://"),
    ("database.max_connections", "3", "expected a whole number from 4 to 1000"),
    ("database.pooler", "transaction", "expected none beside the embedded Postgres"),
    ("database.pooler", "session", "expected \"none\" or \"transaction\""),
    ("intake.max_ids", "0", WHOLE),
    ("intake.purges_per_minute", "-1", "expected a whole number from 0 to 1000000"),
    ("intake.open_purges_per_key", "1000001", "expected a whole number from 0 to 1000000"),
    ("intake.max_json", "16 MB", "expected a size such as \"16 MiB\""),
    ("intake.upload_timeout", "0s", "expected a duration longer than 0s"),
    ("intake.min_rate", "2 MiB", "expected a size up to \"1 MiB\""),
    ("intake.max_json", "2 GiB", "expected a size from \"1 KiB\" to \"256 MiB\""),
    ("engine.workers", "many", WHOLE),
    ("engine.workers", "0", WHOLE),
    ("engine.workers", "-1", WHOLE),
    ("engine.workers", "3.7", WHOLE),
    ("engine.workers", "yes", WHOLE),
    ("engine.workers", "1025", WHOLE),
    ("engine.paused", "on", "expected true or false"),
    ("engine.poll_initial", "7d", DURATION),
    (
        "engine.poll_initial",
        "61s",
        "expected at least engine.poll_initial (\"61s\", from environment variable",
    ),
    (
        "engine.poll_max",
        "4999ms",
        "expected at least engine.poll_initial (\"5s\", from built-in config/default.toml)",
    ),
    ("engine.job_deadline", "8785h", "expected a duration of at most 8784h"),
    ("engine.lease", "44s", "expected at least 45s"),
    ("engine.intent_ttl", "6s", "expected more than 6s"),
    ("engine.intent_ttl", "60s", "expected less than engine.lease (\"60s\", from built-in"),
    ("engine.absence_gap", "0s", "expected a duration longer than 0s"),
    ("engine.max_attempts", "0", WHOLE),
    ("engine.not_found_percent", "101", WHOLE),
    ("engine.not_found_from", "0", WHOLE),
    ("orgs.default.base_url", "api.mypurecloud.com", "expected a URL such as"),
    ("orgs.default.max_conflict_percent", "0", "a whole number from 1 to 100"),
    ("orgs.default.conflict_jobs", "0", "a whole number from 1 to 1000"),
    ("orgs.default.base_url", "ftp://api.mypurecloud.com", "expected a URL such as"),
    ("orgs.default.base_url", "http://api.mypurecloud.com", "expected https"),
    ("orgs.default.base_url", "http://10.0.0.1", "expected https"),
    ("orgs.default.base_url", "http://localhost.example.com", "expected https"),
    ("orgs.default.base_url", "http://127.0.0.1.example.com", "expected https"),
    ("orgs.default.base_url", "https://u:hunter2@api.mypurecloud.com", "without a user or password"),
    ("orgs.default.login_url", "https://login.mypurecloud.com/?a=hunter2", "without `?`"),
    ("orgs.default.client_id", "", "is missing: set GENESYS_CLIENT_ID or PURGE__ORGS__DEFAULT__CLIENT_ID"),
    (
        "orgs.default.client_secret_file",
        "no-such-file",
        "expected none beside orgs.default.client_secret (from environment variable GENESYS_CLIENT_SECRET)",
    ),
    ("orgs.default.max_batch", "1001", WHOLE),
    ("orgs.default.max_batch", "0", WHOLE),
    ("orgs.default.details_batch", "0", WHOLE),
    ("orgs.default.max_concurrent_jobs", "0", WHOLE),
    ("orgs.default.driver", "recording_jobs", "not built yet"),
    ("retention.default_days", "-1", "expected a whole number from 0 to 36500"),
    ("retention.unknown_age", "guess", "expected \"retain\" or \"purge\""),
    ("retention.rules", "7 years for queue x", "not built yet"),
    ("approval.required", "always", "not built yet"),
    ("approval.required", "1000", "not built yet"),
    ("approval.required", "sometimes", "expected \"never\""),
    ("webhooks.url", "receiver.example", "expected a URL such as"),
    ("webhooks.url", "file:///hunter2", "expected a URL such as"),
    ("webhooks.secret", "hunter2hunter2hunter2hunter2hunter2h", "expected \"whsec_\""),
    ("webhooks.secret", "whsec_hunter2", "24 to 64 bytes as base64"),
    ("webhooks.secret", "whsec_hunter2hunter2hunter2hunter2", "24 to 64 bytes as base64"),
    ("webhooks.timeout", "31s", "expected at most half of engine.lease (\"60s\", from built-in"),
    ("webhooks.retry_schedule", "", "expected 1 to 50 durations"),
    ("webhooks.retry_schedule", "5s,0s", "expected a duration longer than 0s"),
    ("webhooks.retry_schedule", "5s,,6s", DURATION),
    ("webhooks.secret", "whsk_hunter2hunter2hunter2hunter2hunter2h=", "\"whsk_\" and an Ed25519 key pair"),
    ("webhooks.allowed_networks", "10.0.0.0", "expected networks such as"),
    ("webhooks.allowed_networks", "10.0.0.1/8", "expected networks such as"),
    ("webhooks.allowed_networks", "10.0.0.0/8,", "expected networks such as"),
    ("webhooks.allowed_networks", "10.0.0.0/33", "expected networks such as"),
    ("webhooks.allowed_networks", "localhost", "expected networks such as"),
    ("webhooks.only_allowed_networks", "yes", "expected true or false"),
    ("webhooks.allowed_ports", "https", "expected ports such as"),
    ("webhooks.allowed_ports", "0", "expected ports such as"),
    ("webhooks.allowed_ports", "443-80", "expected ports such as"),
    ("webhooks.allowed_ports", "65536", "expected ports such as"),
    ("telemetry.log_format", "xml", "expected \"text\" or \"json\""),
    ("telemetry.metrics", "yes", "expected \"key\" or \"open\""),
    ("telemetry.otlp_endpoint", "localhost:4318", "expected the address of a collector"),
    ("telemetry.otlp_endpoint", "https://u:hunter2@collector:4318", "expected the address of a collector"),
];

#[test]
fn a_bad_value_is_answered_with_its_key_its_source_and_what_is_expected() {
    for &(key, value, expected) in BAD {
        let name = format!("PURGE__{}", key.replace('.', "__").to_uppercase());
        let error = Fixture::new().genesys().env(&name, value).error();
        // The rule between two values blames the one that is bound, whichever was set.
        let blamed = if (key, value) == ("engine.poll_initial", "61s") { "engine.poll_max" } else { key };
        assert!(error.starts_with(blamed), "{name}={value}: {error}");
        assert!(error.contains(expected), "{name}={value}: {error}");
        assert!(error.contains(&name), "{name}={value}: {error}");
        assert!(!error.contains("hunter2"), "{name}={value}: {error}");
    }
}

/// `(file, how its error begins)`.
const BAD_TOML: &[(&str, &str)] = &[
    (
        "[engine]\nworkers = 3.7",
        "engine.workers = 3.7 (from given.toml): expected a whole number from 1 to 1024",
    ),
    ("[engine]\nworkers = true", "engine.workers = true (from given.toml): expected a whole number"),
    ("[engine]\nworkers = -1", "engine.workers = -1 (from given.toml): expected a whole number"),
    ("[engine]\nworkers = []", "engine.workers = [] (from given.toml): expected a whole number"),
    ("[engine]\nworkers.x = 1", "engine.workers (from given.toml): expected a whole number"),
    ("[engine]\npaused = 1", "engine.paused = 1 (from given.toml): expected true or false"),
    ("[engine]\nlease = 60", "engine.lease = 60 (from given.toml): expected a duration such as"),
    ("[approval]\nrequired = 100", "approval.required = 100 (from given.toml): not built yet"),
    ("[[retention.rules]]\nqueue = 'x'", "retention.rules (from given.toml): not built yet"),
    ("[retention]\nrules = ['x']", "retention.rules = [\"x\"] (from given.toml): not built yet"),
    (
        "[webhooks]\nretry_schedule = ['5s', '5']",
        "webhooks.retry_schedule.1 = \"5\" (from given.toml): expected a duration",
    ),
    ("[webhooks]\nretry_schedule = []", "webhooks.retry_schedule = [] (from given.toml): expected 1 to 50"),
    (
        "[webhooks]\nallowed_networks = ['10.0.0.0/8', '10.0.0.1/8']",
        "webhooks.allowed_networks = [\"10.0.0.0/8\", \"10.0.0.1/8\"] (from given.toml): expected networks such as",
    ),
    (
        "[webhooks]\nallowed_ports = [443, '8000-8999', true]",
        "webhooks.allowed_ports.2 = true (from given.toml): expected a text or a whole number",
    ),
    ("[webhooks]\nsecret = ['hunter2']", "webhooks.secret (from given.toml): expected a string"),
    ("webhooks = 'hunter2'", "webhooks (from given.toml): expected a section of settings"),
    ("[orgs]\neu = 'hunter2'", "orgs.eu (from given.toml): expected a section of settings"),
    (
        "[orgs.eu]\nclientsecret = 'hunter2'",
        "orgs.eu.clientsecret (from given.toml): unknown field `clientsecret`, expected one of `base_url`",
    ),
    ("[orgs.EU]\nbase_url = 'https://x'", "orgs.EU (from given.toml): expected a name of 1 to 63 lower-case"),
    ("[orgs.'a b']\nbase_url = 'https://x'", "orgs.a b (from given.toml): expected a name"),
    ("[orgs.eu]\nclient_id = 'x'", "orgs.eu.base_url: is missing: set PURGE__ORGS__EU__BASE_URL"),
    (
        "[orgs.eu]\nbase_url = 'https://x'\nclient_id = 'x'",
        "orgs.eu.client_secret: is missing: set PURGE__ORGS__EU__CLIENT_SECRET",
    ),
    (
        "[orgs.eu]\nbase_url = 'https://x'\nclient_id = 'x'\nclient_secret_file = 'no-such-hunter2'",
        "orgs.eu.client_secret_file (from given.toml): can't be read: No such file",
    ),
    ("[engin]\nworkers = 3", "engin (from given.toml): unknown field `engin`, expected one of `server`"),
    (
        "[engine]\nworkerz = 3",
        "engine.workerz (from given.toml): unknown field `workerz`, expected one of `workers`",
    ),
    ("workers = 3", "workers (from given.toml): expected a section of settings"),
    ("[orgs.eu]\nclient_secret = 'hunter2", "given.toml: TOML parse error at line 2, column "),
    ("[engine]\nworkers = 1\nworkers = 2", "given.toml: TOML parse error at line 3, column 1: duplicate key"),
];

#[test]
fn bad_toml_values_are_refused_as_strictly_as_bad_text() {
    for &(toml, expected) in BAD_TOML {
        let error = Fixture::new().config_file(toml).error();
        assert!(error.starts_with(expected), "{toml:?}\n  gave {error}\n  not  {expected}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn sources_that_cannot_be_used_are_named() {
    let fixture = Fixture::new;
    let mut no_file = fixture();
    no_file.config_file = Some("missing.toml".into());
    for (fixture, expected) in [
        (no_file, "missing.toml: no such file, and --config asks for it"),
        (
            fixture().env("PURGE_ENV", "staging"),
            "config/staging.toml: no such file, and PURGE_ENV=staging asks for it",
        ),
        (
            fixture().env("PURGE_ENV", "../etc"),
            "environment variable PURGE_ENV: \"../etc\" is not the name of a stage",
        ),
        (
            fixture().file(".env", "A=1\nhunter2 is my password\n"),
            ".env: line 2 can't be read: expected NAME=value",
        ),
        (fixture().file("config/default.toml", "x"), "config/default.toml: TOML parse error at line 1"),
        (fixture().env("PORT", "http"), "environment variable PORT: \"http\" is not a port"),
        (fixture().env("PORT", "65536"), "environment variable PORT: \"65536\" is not a port"),
        (
            fixture().env("PURGE__ENGINE__WORKERZ", "3"),
            "engine.workerz (from environment variable PURGE__ENGINE__WORKERZ): unknown field `workerz`",
        ),
        (
            fixture().file(".env", "PURGE__ENGIN__WORKERS=3"),
            "engin (from PURGE__ENGIN__WORKERS in .env): unknown field `engin`",
        ),
        (
            fixture().env("PURGE__WEBHOOKS", "hunter2"),
            "webhooks (from environment variable PURGE__WEBHOOKS): expected a section",
        ),
        (
            fixture().env("PURGE__ORGS__EU", "hunter2").env("PURGE__ORGS__EU__CLIENT_ID", "x"),
            "orgs.eu.client_id (from environment variable PURGE__ORGS__EU__CLIENT_ID): `eu` is both a value and a section",
        ),
        (fixture().env("PURGE__", "hunter2"), " (from environment variable PURGE__): expected a section"),
        (
            fixture().env("PURGE__engine__workers", "1").env("PURGE__ENGINE__WORKERS", "2"),
            "environment variable PURGE__engine__workers: sets the same key as PURGE__ENGINE__WORKERS",
        ),
        (
            fixture().env("PURGE__ORGS____CLIENT_ID", "x"),
            "orgs. (from environment variable PURGE__ORGS____CLIENT_ID): expected a name",
        ),
    ] {
        let error = fixture.error();
        assert!(error.starts_with(expected), "gave {error}\nnot  {expected}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_named_and_a_foreign_one_is_left_alone() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let not_utf8 = || OsString::from_vec(vec![b'h', 0xff]);
    for name in ["PURGE__ENGINE__WORKERS", "DATABASE_URL", "PORT", "PURGE_ENV"] {
        let mut fixture = Fixture::new();
        fixture.environment = fixture.environment.with(name, not_utf8());
        assert_eq!(fixture.error(), format!("environment variable {name}: its value is not UTF-8"));
    }
    let mut fixture = Fixture::new();
    fixture.environment = fixture.environment.with("LESS", not_utf8()).with(not_utf8(), "x");
    fixture.settings();
}

#[test]
fn half_of_the_plain_names_is_an_error_that_says_which_is_missing() {
    for missing in ["GENESYS_BASE_URL", "GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET"] {
        let fixture = GENESYS
            .into_iter()
            .filter(|(name, _)| *name != missing)
            .fold(Fixture::new(), |fixture, (name, value)| fixture.env(name, value));
        let error = fixture.error();
        assert!(error.contains(&format!("is missing: set {missing} or PURGE__ORGS__DEFAULT__")), "{error}");
    }
}
