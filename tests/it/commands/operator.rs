//! The short commands: keys, schema, webhook secret, document.

use std::process::Stdio;

use genesys_purge::api;
use genesys_purge::sandbox::Kind;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;

use super::home::Home;
use crate::support::receiver::Receiver;

#[tokio::test]
async fn without_a_running_service_the_commands_start_the_database_for_themselves() {
    let mut home = Home::with_jobs_of(50).await;
    let migrations = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
    let told = format!("applied {migrations} migrations: the schema is current\n");
    assert_eq!(home.say(&["migrate"]).await, told);
    home.until_no_database_runs().await;
    let secret = home.say(&["webhooks", "secret"]).await;
    assert!(secret.starts_with("whsec_") && secret.lines().count() == 1, "{secret:?}");
    assert_eq!(home.say(&["webhooks", "secret"]).await, secret, "it is made once");
    let key = home.key().await;
    home.until_no_database_runs().await;

    // The service that starts afterwards knows the key, and signs with that secret.
    let receiver = Receiver::with_secret(secret.trim()).await;
    home.set("RETENTION_WEBHOOK_URL", &receiver.url);
    let serving = home.serve().await;
    let id = home.sandbox.sandbox().ids_of(Kind::Eligible)[0];
    let request = serving.request(&key, Method::POST, "/purges").json(&json!({ "conversationIds": [id] }));
    assert_eq!(request.send().await.unwrap().status(), 202);
    let hooks = receiver.wait_for(2, |_| true).await;
    assert!(hooks.iter().all(|hook| hook.is_verified), "{hooks:#?}");
    assert_eq!(home.say(&["webhooks", "secret"]).await, secret, "beside a running service too");
    assert_eq!(home.say(&["migrate"]).await, "applied no migration: the schema is current\n");
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));

    home.set("RETENTION_WEBHOOK_SECRET", crate::support::receiver::SECRET);
    assert_eq!(home.say(&["webhooks", "secret"]).await.trim(), crate::support::receiver::SECRET);
}

#[tokio::test]
async fn another_webhook_secret_is_used_at_once_beside_a_running_service_and_both_sign() {
    let mut home = Home::with_jobs_of(50).await;
    home.say(&["migrate"]).await;
    let before = home.say(&["webhooks", "secret"]).await;
    home.until_no_database_runs().await;
    let receiver = Receiver::with_secret(before.trim()).await;
    home.set("RETENTION_WEBHOOK_URL", &receiver.url);
    let key = home.key().await;
    home.until_no_database_runs().await;
    let serving = home.serve().await;
    let after = home.say(&["webhooks", "rotate-secret"]).await;
    assert!(after.starts_with("whsec_") && after != before, "{after:?}");
    assert_eq!(home.say(&["webhooks", "secret"]).await, after);
    let id = home.sandbox.sandbox().ids_of(Kind::Eligible)[0];
    let request = serving.request(&key, Method::POST, "/purges").json(&json!({ "conversationIds": [id] }));
    assert_eq!(request.send().await.unwrap().status(), 202);
    for hook in receiver.wait_for(2, |_| true).await {
        assert!(hook.is_verified, "by the secret before: {hook:#?}");
        let signatures: Vec<&str> = hook.headers["webhook-signature"].split(' ').collect();
        let stamp: i64 = hook.headers["webhook-timestamp"].parse().unwrap();
        let own = standardwebhooks::Webhook::new(after.trim()).unwrap();
        let own = own.sign(&hook.id, stamp, hook.text.as_bytes()).unwrap();
        assert!(signatures.len() == 2 && signatures.contains(&own.as_str()), "{signatures:?}");
    }
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
    home.set("RETENTION_WEBHOOK_SECRET", crate::support::receiver::SECRET);
    let refused = home.run(&["webhooks", "rotate-secret"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("PURGE__WEBHOOKS__PREVIOUS_SECRET"));
}

#[tokio::test]
async fn a_key_has_a_name_that_an_auditor_can_tell_from_all_others() {
    let home = Home::with_jobs_of(50).await;
    for (name, told) in [
        ("engine", "is the name of the service itself"),
        (" Engine ", "is the name of the service itself"),
        ("", "must not be empty"),
        (" \t", "must not be empty"),
        ("crm\nadmin", "must not hold control characters"),
        ("crm\u{1b}[2K", "must not hold control characters"),
        ("crm\u{85}", "must not hold control characters"),
    ] {
        let output = home.run(&["keys", "create", "--scope", "admin", "--name", name]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name:?}: {said}");
        assert!(said.contains("--name <NAME>") && said.contains(told), "{name:?}: {said}");
        assert_eq!(output.stdout, b"", "no key was made");
    }
    assert!(!home.data_dir().exists(), "it needs no database");
}

#[tokio::test]
async fn the_document_is_printed_and_a_reader_that_leaves_is_no_error() {
    let home = Home::with_jobs_of(50).await;
    assert_eq!(home.say(&["openapi"]).await, api::document_yaml().unwrap());
    assert_eq!(home.say(&["openapi", "--json"]).await, api::document_json().unwrap());
    for arguments in [&["openapi"][..], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let process = home.command(arguments).stdout(Stdio::from(writer)).spawn().unwrap();
        let output = process.wait_with_output().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
    assert!(!home.data_dir().exists(), "it needs no database");
}
