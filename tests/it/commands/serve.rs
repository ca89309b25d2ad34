//! `serve` from its first start to its end, however it ends.

use genesys_purge::postgres;
use genesys_purge::sandbox::{Call, Kind};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::home::{Home, until};
use crate::support::postgres::TestDatabase;
use crate::support::process::{LONG, send};
use crate::support::proxy::{Proxy, Way};

#[tokio::test]
async fn a_fresh_machine_serves_stops_when_told_and_leaves_no_process() {
    let home = Home::with_jobs_of(50).await;
    let serving = home.serve().await;
    let key = home.key().await;
    let id = home.sandbox.sandbox().ids_of(Kind::Eligible)[0];
    let request = serving.request(&key, Method::POST, "/purges").json(&json!({ "conversationIds": [id] }));
    let purge: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let purge = format!("/purges/{}", purge["id"].as_str().unwrap());
    assert_eq!(serving.get(&key, &format!("{purge}?wait=60")).await["state"], "completed");
    assert!(!home.database_processes().is_empty(), "what is looked for below can be seen");

    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
    home.until_no_database_runs().await;

    let serving = home.serve().await;
    assert_eq!(serving.get(&key, &purge).await["counts"]["purged"], 1, "everything is still there");
    assert_eq!(serving.end(Signal::SIGINT).await, Some(0));
    home.until_no_database_runs().await;
}

#[tokio::test]
async fn it_takes_as_many_files_as_it_may() {
    let mut home = Home::with_jobs_of(50).await;
    home.limit_files(256);
    let serving = home.serve().await;
    let (soft, hard) = serving.limit("Max open files");
    assert!(soft > 256 && soft >= hard.min(16_384), "{soft} of {hard}");
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
    home.until_no_database_runs().await;
}

#[tokio::test]
async fn a_file_of_secrets_that_everybody_may_read_is_told_at_the_start() {
    let home = Home::with_jobs_of(50).await;
    home.write(".env", "RETENTION_WEBHOOK_SECRET=whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==", 0o644);
    let serving = home.serve().await;
    let told = serving.logged(|line| line["file"] == ".env").await;
    assert_eq!(told["level"], "WARN", "{told}");
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
    home.until_no_database_runs().await;
}

#[tokio::test]
async fn no_core_file_is_written_of_it() {
    let home = Home::with_jobs_of(50).await;
    let serving = home.serve().await;
    assert_eq!(serving.limit("Max core file size"), (0, 0));
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
    home.until_no_database_runs().await;
}

#[tokio::test]
async fn a_wait_that_is_under_way_does_not_keep_a_service_from_stopping() {
    let mut home = Home::with_jobs_of(50).await;
    home.set("PURGE__ENGINE__PAUSED", "true");
    let serving = home.serve().await;
    let key = home.key().await;
    let id = home.sandbox.sandbox().ids_of(Kind::Eligible)[0];
    let request = serving.request(&key, Method::POST, "/purges").json(&json!({ "conversationIds": [id] }));
    let purge: Value = request.send().await.unwrap().json().await.unwrap();
    let waiting =
        serving.request(&key, Method::GET, &format!("/purges/{}?wait=60", purge["id"].as_str().unwrap()));
    let mut waiting = tokio::spawn(waiting.send());
    let began = std::time::Instant::now();
    // It has begun, as far as can be seen from outside: it doesn't answer.
    assert!(timeout(std::time::Duration::from_millis(500), &mut waiting).await.is_err());
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
    assert!(began.elapsed() < std::time::Duration::from_secs(40), "it doesn't last out the wait");
    home.until_no_database_runs().await;
    waiting.abort();
}

#[tokio::test]
async fn deliveries_that_wait_while_no_receiver_is_configured_are_told_at_the_start() {
    let database = TestDatabase::create().await;
    database
        .sql(
            "with event as (insert into events (id, type, actor, payload, at)
                 values (gen_random_uuid(), 'x', 'x', '{}', now()) returning id)
             insert into deliveries (id, event_id, endpoint, payload)
             select gen_random_uuid(), id, 'retention', '{}' from event",
        )
        .await;
    let mut home = Home::with_jobs_of(50).await;
    home.set("DATABASE_URL", &database.url());
    let serving = home.serve().await;
    let told = serving.logged(|line| line["waiting"] == 1).await;
    assert!(told["message"].as_str().unwrap().contains("RETENTION_WEBHOOK_URL"), "{told}");
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn a_signal_ends_it_though_its_database_answers_nothing_any_more() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::to(&database).await;
    let mut home = Home::with_jobs_of(50).await;
    home.set("DATABASE_URL", &proxy.url());
    home.set("PURGE__ENGINE__SHUTDOWN_GRACE", "1s");
    let serving = home.serve().await;
    proxy.set(Way::Silent);
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn a_signal_that_comes_while_it_starts_is_not_lost() {
    let home = Home::with_jobs_of(50).await;
    for moment in
        ["the data are made", "the database is up", "the schema is looked at", "the database starts"]
    {
        // Postgres says that the table of migrations is there already, and this lets it through.
        let mut process = home.command(&["serve"]).env("RUST_LOG", "sqlx=info").spawn().unwrap();
        let is_there = match moment {
            "the data are made" => until(|| home.data_dir().join("postgres").exists()).await,
            "the database is up" => {
                until(|| matches!(postgres::running(&home.data_dir()), Ok(Some(_)))).await
            }
            "the database starts" => until(|| !home.database_processes().is_empty()).await,
            _ => until_said(&mut process, "_sqlx_migrations").await,
        };
        assert!(is_there, "{moment}");
        send(&process, Signal::SIGTERM);
        let ended = timeout(LONG, process.wait()).await;
        let ended = ended.unwrap_or_else(|_| panic!("the signal was lost: {moment}")).unwrap();
        assert_eq!(ended.code(), Some(0), "{moment}");
        home.until_no_database_runs().await;
        if moment == "the data are made" {
            home.say(&["migrate"]).await;
        }
    }
    assert_eq!(home.serve().await.end(Signal::SIGTERM).await, Some(0), "no harm was done");
}

/// Waits until a line on standard error holds this text.
async fn until_said(process: &mut Child, text: &str) -> bool {
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    while let Ok(Some(line)) = timeout(LONG, lines.next_line()).await.unwrap() {
        if line.contains(text) {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return true;
        }
    }
    false
}

#[tokio::test]
async fn after_a_kill_the_next_start_takes_the_purge_to_its_end() {
    let home = Home::with_jobs_of(3000).await;
    let serving = home.serve().await;
    let key = home.key().await;
    let ids = &home.sandbox.sandbox().ids_of(Kind::Eligible)[..7];
    let request = serving.request(&key, Method::POST, "/purges").json(&json!({ "conversationIds": ids }));
    let purge: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let purge = format!("/purges/{}", purge["id"].as_str().unwrap());
    loop {
        let jobs = serving.get(&key, &format!("{purge}/jobs")).await;
        if jobs["items"][0]["state"] == "submitted" {
            break;
        }
        assert_ne!(serving.get(&key, &purge).await["state"], "completed", "it was too fast to be killed");
    }
    assert_eq!(serving.end(Signal::SIGKILL).await, None);

    let serving = home.serve().await;
    let mut body = serving.get(&key, &format!("{purge}?wait=60")).await;
    if body["finishedAt"].is_null() {
        // It was killed within a step: that is taken over when its lease ends.
        body = serving.get(&key, &format!("{purge}?wait=60")).await;
    }
    assert_eq!((&body["state"], &body["counts"]["purged"]), (&json!("completed"), &json!(7)), "{body}");
    for id in ids {
        assert!(home.sandbox.sandbox().conversation(*id).unwrap().deleted_at.is_some());
    }
    let report = home.sandbox.sandbox().report(0, 500);
    assert_eq!(report.counts[&Call::Submit].values().sum::<u64>(), 1, "{:?}", report.counts);
    assert!(report.breaches.is_empty(), "{:?}", report.breaches);
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
    home.until_no_database_runs().await;
}

#[tokio::test]
async fn a_second_serve_on_the_same_data_directory_is_refused_and_harms_nobody() {
    let home = Home::with_jobs_of(50).await;
    let serving = home.serve().await;
    let second = home.run(&["serve"]).await;
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.lines().last().unwrap().contains("is in use by process"), "{said}");
    assert_eq!(serving.request("", Method::GET, "/health/ready").send().await.unwrap().status(), 200);
    assert_eq!(serving.end(Signal::SIGTERM).await, Some(0));
    home.until_no_database_runs().await;
}
