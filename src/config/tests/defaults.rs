//! What is set where nobody sets anything, and that `config/default.toml` tells the truth about it.

use std::num::NonZeroU32;

use super::*;

fn manifest(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn without_any_source_the_defaults_are_those_of_the_contract() {
    let Settings {
        server,
        database,
        intake,
        engine,
        orgs,
        retention,
        approval,
        webhooks,
        telemetry,
        files,
        exposed_files,
    } = Fixture::new().settings();
    assert!(files.is_empty() && exposed_files.is_empty());
    assert_eq!(server.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(server.health_bind, None);
    assert_eq!(server.request_timeout, seconds(30));
    assert!(database.url.is_none());
    assert!(database.archive_url.is_none() && database.archive_sha256.is_none());
    assert_eq!(database.max_connections, 10);
    assert_eq!(database.promotion, Promotion::Check);
    assert_eq!(database.pooler, Pooler::None);
    assert_eq!(intake.max_ids, 10_000_000);
    assert_eq!(intake.purges_per_minute.map(NonZeroU32::get), Some(6_000));
    assert_eq!(intake.open_purges_per_key.map(NonZeroU32::get), Some(100_000));
    assert_eq!(intake.max_json.bytes(), 16 << 20);
    assert_eq!(intake.upload_timeout, seconds(3600));
    assert_eq!(intake.min_rate.bytes(), 256);
    assert_eq!(engine.workers, 32);
    assert!(!engine.paused);
    assert_eq!(engine.poll_initial, seconds(5));
    assert_eq!(engine.poll_max, seconds(60));
    assert_eq!(engine.job_deadline, seconds(24 * 3600));
    assert_eq!(engine.lease, seconds(60));
    assert_eq!(engine.intent_ttl, seconds(10));
    assert_eq!(engine.ambiguity_grace, seconds(120));
    assert_eq!(engine.absence_gap, seconds(5));
    assert_eq!(engine.validation_max_age, seconds(15 * 60));
    assert_eq!(engine.verify_timeout, seconds(10 * 60));
    assert_eq!(engine.resubmit_after, seconds(60));
    assert_eq!(engine.max_attempts, 3);
    assert_eq!((engine.not_found_percent, engine.not_found_from), (50, 1000));
    assert_eq!(engine.shutdown_grace, seconds(30));
    assert!(orgs.is_empty());
    assert_eq!(retention.default_days, 365);
    assert_eq!(retention.unknown_age, UnknownAge::Retain);
    assert_eq!(retention.rules, NotBuiltYet);
    assert_eq!(approval.required, ApprovalRequired::Never);
    assert!(webhooks.url.is_none() && webhooks.secret.is_none());
    assert_eq!(webhooks.timeout, seconds(15));
    assert_eq!(webhooks.retry_schedule, [5, 300, 1800, 7200, 18000, 36000, 36000].map(seconds));
    assert_eq!(webhooks.allowed_networks, []);
    assert!(!webhooks.only_allowed_networks);
    assert_eq!(webhooks.allowed_ports, [80, 443, 8080, 8443].map(|port| port..=port));
    assert_eq!(telemetry.log_format, LogFormat::Text);
    assert_eq!(telemetry.metrics, MetricsAccess::Key);
    assert_eq!(telemetry.otlp_endpoint, None);
}

#[test]
fn the_built_in_defaults_are_those_of_the_file() {
    let built_in = Fixture::new();
    let from_file = Fixture::new().file("config/default.toml", &manifest("config/default.toml"));
    let read = Settings { files: Vec::new(), ..from_file.settings() };
    assert_eq!(format!("{:?}", built_in.settings()), format!("{read:?}"));
}

#[test]
fn the_reference_names_the_real_defaults_of_an_org_and_of_what_may_be_left_out() {
    let reference = manifest("config/default.toml");
    let org: Vec<&str> = reference
        .lines()
        .skip_while(|line| !line.starts_with("# [orgs.default]"))
        .take_while(|line| !line.is_empty())
        .map(|line| line.trim_start_matches("# "))
        .filter(|line| line.starts_with('[') || line.contains(" = "))
        .collect();
    let all = Fixture::new().config_file(&org.join("\n")).settings();
    let least = Fixture::new()
        .config_file(
            &org.iter()
                .filter(|line| line.starts_with('[') || line.contains("_url") || line.contains("client_"))
                .copied()
                .collect::<Vec<_>>()
                .join("\n"),
        )
        .settings();
    assert_eq!(format!("{:?}", all.orgs), format!("{:?}", least.orgs));

    let org = &all.orgs["default"];
    assert_eq!((org.max_batch, org.details_batch, org.max_concurrent_jobs), (500, 500, 5));
    assert_eq!(org.requests_per_minute.map(std::num::NonZeroU32::get), Some(300));
    assert!(org.mix_purges);
    assert_eq!((org.max_conflict_percent, org.conflict_jobs), (90, 50));
    assert_eq!(org.driver, Driver::AnalyticsPurge);
}

#[test]
fn the_reference_names_every_setting() {
    let reference = manifest("config/default.toml");
    for section in [
        "server",
        "database",
        "intake",
        "engine",
        "orgs.eu",
        "retention",
        "approval",
        "webhooks",
        "telemetry",
    ] {
        let error = Fixture::new().config_file(&format!("[{section}]\nno_such_key = 1")).error();
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert!(!known.is_empty(), "{error}");
        for key in known {
            let documented =
                reference.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
            assert!(documented, "{section}.{key} does not stand in config/default.toml");
        }
    }
}
