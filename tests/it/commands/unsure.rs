//! `purge submit` if it is unknown whether the purge was accepted, and if the output has no reader.

use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::fake::Fake;
use super::home::Home;
use super::shell::{Said, Shell};
use crate::support::process::{LONG, send};

const ID: &str = "0198c4a6-71f1-7a7b-9d8f-3f8f1f6f2b11";

fn purge(state: &str) -> Value {
    json!({ "id": ID, "state": state, "counts": { "total": 1 } })
}

/// A file is submitted to a service that answers so; the key that it was sent with.
async fn submitted<const N: usize>(answers: [(u16, Value); N]) -> (Said, String) {
    let fake = Fake::start(answers).await;
    let shell = Shell::new(&fake.url, "gpk_key");
    let file = shell.file("a.csv", "some ids");
    let said = shell.run(&["submit", file.to_str().unwrap()]).await;
    let asked = fake.asked();
    assert_eq!(asked.len(), N, "{said:?}");
    (said, asked[0].idempotency_key.clone())
}

#[tokio::test]
async fn whatever_comes_after_a_lost_answer_the_key_is_told() {
    let lost = || (0, json!({}));
    for (status, code, exit) in
        [(401, "no_key", 5), (413, "too_large", 5), (422, "idempotency_key_reused", 5), (500, "internal", 6)]
    {
        let (said, key) = submitted([lost(), (status, json!({ "code": code, "detail": "no" }))]).await;
        let (told, advice) = (format!("refused ({status} {code}): no"), format!("--idempotency-key {key} "));
        said.assert(exit, &["no answer came", &told, &advice]);
        assert_eq!(said.out, "", "{said:?}");
    }
    let (said, _) = submitted([(422, json!({ "code": "invalid_lines", "detail": "no" }))]).await;
    said.assert(5, &["refused (422 invalid_lines)"]);
    assert!(!said.err.contains("--idempotency-key"), "nothing was accepted: {said:?}");
}

#[tokio::test]
async fn an_error_of_the_service_and_an_answer_that_is_no_purge_leave_open_what_was_done() {
    for (answer, exit, told) in [
        ((500, json!({ "code": "internal", "detail": "oh" })), 6, "refused (500 internal): oh"),
        ((202, json!({ "id": "x" })), 1, "the answer is not a purge"),
    ] {
        let (said, key) = submitted([answer]).await;
        said.assert(exit, &[told, &format!("--idempotency-key {key} ")]);
    }
}

#[tokio::test]
async fn a_reader_that_leaves_hides_no_failure() {
    let fake = Fake::start([(202, purge("queued")), (200, purge("failed")), (200, purge("canceled"))]).await;
    let shell = Shell::new(&fake.url, "gpk_key");
    let commands: [(&[&str], i32); 2] =
        [(&["submit", "-", "--watch", "--json"], 3), (&["watch", ID, "--json"], 4)];
    for (arguments, exit) in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let process = shell.command(arguments).stdout(Stdio::from(writer)).spawn().unwrap();
        let said = shell.said(&timeout(LONG, process.wait_with_output()).await.unwrap().unwrap());
        said.assert(exit, &[": 1 conversation\n"]);
    }

    let mut home = Home::with_jobs_of(50).await;
    home.set("GENESYS_CLIENT_SECRET", "");
    for arguments in [&["doctor", "--offline"][..], &["doctor", "--offline", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let process = home.command(arguments).stdout(Stdio::from(writer)).spawn().unwrap();
        let output = timeout(LONG, process.wait_with_output()).await.unwrap().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0), "{arguments:?}: {output:?}");
    }
}

#[tokio::test]
async fn a_signal_between_accepting_and_watching_is_not_lost() {
    let mut accepted = purge("queued");
    // More than a pipe holds: the command waits for its reader, accepted and not yet watching.
    accepted["reason"] = "x".repeat(1 << 20).into();
    let fake = Fake::start([(202, accepted), (200, purge("queued")), (200, purge("completed"))]).await;
    let shell = Shell::new(&fake.url, "gpk_key");
    let mut process = shell.command(&["submit", "-", "--watch", "--json"]).spawn().unwrap();
    let mut out = process.stdout.take().unwrap();
    assert_eq!(timeout(LONG, out.read_u8()).await.unwrap().unwrap(), b'{');
    send(&process, Signal::SIGINT);
    let (mut rest, ended) = (String::new(), process.wait_with_output());
    let (read, ended) = tokio::join!(out.read_to_string(&mut rest), timeout(LONG, ended));
    read.unwrap();
    let said = shell.said(&ended.unwrap().unwrap());
    said.assert(130, &["interrupted; the purge goes on. Watch it again: genesys-purge purge watch ", ID]);
}
