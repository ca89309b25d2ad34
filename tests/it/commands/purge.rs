//! `purge submit | watch`: what a shell script sees of them: two streams, an exit code, and a key that is nowhere.

use std::path::Path;
use std::process::Stdio;

use genesys_purge::sandbox::Kind;
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::ChildStderr;
use tokio::time::timeout;
use uuid::Uuid;

use super::fake::Fake;
use super::home::until;
use super::shell::Shell;
use crate::support::process::{LONG, send};
use crate::support::{Setup, TestService};

/// One line an id.
fn each(ids: &[Uuid], line: impl Fn(&Uuid) -> String) -> String {
    ids.iter().map(|id| line(id) + "\n").collect()
}

fn lines(ids: &[Uuid]) -> String {
    each(ids, Uuid::to_string)
}

fn ndjson(ids: &[Uuid]) -> String {
    each(ids, |id| format!("{{\"conversationId\": \"{id}\"}}"))
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

#[tokio::test]
async fn every_format_is_submitted_from_a_file_and_from_standard_input_and_watched_to_its_end() {
    let test = TestService::start().await;
    let shell = Shell::of(&test);
    let ids = test.ids_of(Kind::Eligible);
    let [csv, text, many, one, piped, marked] = [0, 3, 6, 9, 12, 15].map(|from| ids[from..from + 3].to_vec());
    let files = [
        shell.file("a.csv", &format!("name,conversationId\n{}", each(&csv, |id| format!("x,{id}")))),
        shell.file("a.txt", &lines(&text)),
        shell.file("a.jsonl", &ndjson(&many)),
        shell.file("a.json", &json!({ "conversationIds": one, "reference": "J-1" }).to_string()),
    ];
    for file in &files {
        let said = shell.run(&["submit", path(file), "--watch"]).await;
        said.assert(0, &["completed: 3 conversations\n", "  purged                   3\n", "purge report "]);
        assert_eq!(test.get(&format!("/purges/{}", said.id())).await["counts"]["purged"], 3);
    }
    let said = shell.run_with_input(&["submit", "-", "--watch"], &lines(&piped)).await;
    said.assert(0, &["completed: 3 conversations\n"]);
    let arguments = [
        "submit",
        "-",
        "--format",
        "ndjson",
        "--org",
        "default",
        "--reason",
        "GDPR & more",
        "--reference",
        "R-1",
        "--label",
        "team:a:b",
        "--label",
        "x:",
        "--expected-count",
        "3",
        "--dry-run",
    ];
    let said = shell.run_with_input(&arguments, &ndjson(&marked)).await;
    said.assert(0, &["accepted, 3 conversations\n"]);
    let purge = test.finished(said.id()).await;
    assert_eq!(purge["counts"]["would_purge"], 3, "{purge}");
    let told = [&purge["reason"], &purge["reference"], &purge["labels"], &purge["dryRun"]];
    assert_eq!(json!(told), json!(["GDPR & more", "R-1", { "team": "a:b", "x": "" }, true]));
    let said = shell.run(&["watch", &said.id().to_string()]).await;
    said.assert(0, &["dry run completed: 3 conversations\n", "Nothing was deleted"]);
    assert_eq!(said.out, "");
    test.end().await;
}

#[tokio::test]
async fn json_is_asked_for_and_a_key_may_come_from_a_file() {
    let test = TestService::start().await;
    let shell = Shell::of(&test);
    let ids = test.ids_of(Kind::Eligible);
    let (file, key) =
        (shell.file("a.csv", &lines(&ids[..2])), shell.file("key", &format!("\n{}\n", test.key)));
    let arguments =
        ["submit", path(&file), "--watch", "--json", "--key-file", path(&key), "--url", &test.url];
    let mut command = shell.command(&arguments);
    command.env_remove("PURGE_API_KEY").env("PURGE_URL", "http://127.0.0.1:1");
    let said = shell.said(&timeout(LONG, command.output()).await.unwrap().unwrap());
    said.assert(0, &["completed: 2 conversations\n"]);
    let answers: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 2, "{said:?}");
    assert_eq!(answers[0]["id"], answers[1]["id"]);
    assert_eq!(answers[1]["state"], "completed");
    let watched = shell.run(&["watch", answers[0]["id"].as_str().unwrap(), "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&watched.out).unwrap(), answers[1]);
    test.end().await;
}

#[tokio::test]
async fn a_purge_that_failed_or_was_canceled_has_an_exit_code_of_its_own() {
    let setup = Setup::new()
        .sandbox(|settings| settings.failed_share = 1.0)
        .env("PURGE__ENGINE__VERIFY_TIMEOUT", "200ms")
        .env("PURGE__ENGINE__MAX_ATTEMPTS", "1");
    let test = setup.start().await;
    let shell = Shell::of(&test);
    let file = shell.file("a.csv", &lines(&test.ids_of(Kind::Eligible)[..2]));
    let said = shell.run(&["submit", path(&file), "--watch"]).await;
    said.assert(3, &["failed: 2 conversations\n", "  failed                   2\n", " --outcome failed\n"]);
    test.end().await;

    let test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    let shell = Shell::of(&test);
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..2]).await;
    let (status, body) = test.post(&format!("/purges/{purge}/cancel"), &Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let said = shell.run(&["watch", &purge.to_string()]).await;
    said.assert(4, &["canceled: 2 conversations\n", "  canceled                 2\n"]);
    test.end().await;
}

#[tokio::test]
async fn a_refusal_is_read_out_and_nothing_is_printed_to_standard_output() {
    let test = TestService::start().await;
    let shell = Shell::of(&test);
    let bad = shell.file("bad.csv", "conversationId\nx\n1b4e28ba-2fa1-4d2b-883f-0016d3cca427\ny\n");
    let good = shell.file("good.csv", "1b4e28ba-2fa1-4d2b-883f-0016d3cca427\n");
    let json = shell.file("a.json", r#"{"conversationIds": ["1b4e28ba-2fa1-4d2b-883f-0016d3cca427", "x"]}"#);
    let cases: [(&[&str], &[&str]); 5] = [
        (&["submit", path(&bad)], &["refused (422 invalid_lines): 2 lines", "\n  line 2: ", "\n  line 4: "]),
        (&["submit", path(&json)], &["refused (422 invalid_request): /conversationIds/1: "]),
        (&["submit", path(&good), "--expected-count", "2"], &["refused (422 count_mismatch): "]),
        (&["submit", path(&good), "--org", "mars", "--watch"], &["refused (422 invalid_request): /org: "]),
        (&["watch", "1b4e28ba-2fa1-4d2b-883f-0016d3cca427"], &["refused (404 not_found): no such purge"]),
    ];
    for (arguments, told) in cases {
        let said = shell.run(arguments).await;
        said.assert(5, told);
        assert!(said.out.is_empty() && said.err.contains("\n  request id "), "{said:?}");
    }
    let stranger = Shell::new(&test.url, "gpk_nobody");
    stranger
        .run(&["watch", "1b4e28ba-2fa1-4d2b-883f-0016d3cca427"])
        .await
        .assert(5, &["refused (401 no_key): "]);
    assert_eq!(test.number("select count(*) from purges").await, 0);
    test.end().await;
}

#[tokio::test]
async fn what_makes_no_sense_or_is_wrong_on_this_side_is_told_before_anything_is_sent() {
    let fake = Fake::start([]).await;
    let shell = Shell::new(&fake.url, "gpk_key");
    let (csv, json) = (shell.file("a.csv", "x"), shell.file("a.json", "{}"));
    let (odd, nowhere) = (shell.file("a.xlsx", "x"), shell.folder.path().join("nowhere.csv"));
    let usage: [(&[&str], &str); 8] = [
        (&["submit"], "required"),
        (&["submit", path(&csv), "--api-key", "k"], "unexpected argument '--api-key'"),
        (&["submit", path(&csv), "--label", "a"], "expected KEY:VALUE"),
        (&["submit", path(&csv), "--idempotency-key", "a b"], "1 to 255"),
        (&["submit", path(&csv), "--give-up-after", "soon"], "expected a time"),
        (&["submit", path(&odd)], "--format"),
        (&["submit", path(&json), "--reason", "r"], "put reason in the body"),
        (&["watch", "x"], "invalid value"),
    ];
    for (arguments, told) in usage {
        let said = shell.run(arguments).await;
        said.assert(2, &[told]);
        assert_eq!(said.out, "", "{said:?}");
    }
    let folder = path(shell.folder.path());
    let ours: [(&[&str], &str); 5] = [
        (&["submit", path(&nowhere)], "nowhere.csv: No such file"),
        (&["submit", folder, "--format", "csv"], "Is a directory"),
        (&["submit", path(&csv), "--key-file", path(&nowhere)], "--key-file"),
        (&["submit", path(&csv), "--url", "localhost:80"], "--url"),
        (
            &["watch", "1b4e28ba-2fa1-4d2b-883f-0016d3cca427", "--url", "http://u:p@localhost"],
            "without a user",
        ),
    ];
    for (arguments, told) in ours {
        shell.run(arguments).await.assert(1, &["error: ", told]);
    }
    for (variable, option) in [("http://a:secret@localhost", None), ("x", Some("a:secret@localhost:80"))] {
        let mut command = shell.command(&["submit", path(&csv)]);
        command.env("PURGE_URL", variable).args(option.map(|url| format!("--url={url}")));
        let said = shell.said(&command.output().await.unwrap());
        said.assert(1, &["error: ", "@localhost"]);
        assert!(!said.err.contains("secret"), "{said:?}");
    }
    let mut keyless = shell.command(&["submit", path(&csv)]);
    let said = shell.said(&keyless.env_remove("PURGE_API_KEY").output().await.unwrap());
    said.assert(1, &["PURGE_API_KEY", "keys create"]);
    assert!(fake.asked().iter().all(|asked| asked.body.is_empty()), "{:?}", fake.asked());
}

#[tokio::test]
async fn a_file_is_sent_again_under_the_same_key_and_a_pipe_never_is() {
    let accepted =
        json!({ "id": "0198c4a6-71f1-7a7b-9d8f-3f8f1f6f2b11", "state": "queued", "counts": { "total": 1 } });
    let fake = Fake::start([
        (503, json!({ "code": "unavailable", "detail": "in a moment" })),
        (202, accepted.clone()),
    ])
    .await;
    let shell = Shell::new(&fake.url, "gpk_key");
    let file = shell.file("a.csv", "some ids");
    let said = shell.run(&["submit", path(&file)]).await;
    said.assert(0, &["the service can't answer now (503 unavailable): in a moment\n", "trying again\n"]);
    assert_eq!(said.id().to_string(), accepted["id"]);
    let asked = fake.asked();
    assert_eq!(asked.iter().map(|asked| asked.body.as_str()).collect::<Vec<_>>(), ["some ids"; 2]);
    assert!(asked[0].idempotency_key.len() == 32 && asked[0].idempotency_key == asked[1].idempotency_key);
    assert!(asked.iter().all(|asked| asked.authorization == "Bearer gpk_key"));
    let first = asked[0].idempotency_key.clone();

    let fake = Fake::start([(503, json!({})), (202, accepted.clone())]).await;
    let shell = Shell::new(&fake.url, "gpk_key");
    let said = shell.run_with_input(&["submit", "-"], "some ids").await;
    let key = fake.asked()[0].idempotency_key.clone();
    said.assert(6, &["503", &format!("--idempotency-key {key} it purges once")]);
    assert!(fake.asked().len() == 1 && key != first, "{:?}", fake.asked());
    let said = shell.run_with_input(&["submit", "-", "--idempotency-key", &key], "some ids").await;
    said.assert(0, &[]);
    assert_eq!(fake.asked()[1].idempotency_key, key);
}

#[tokio::test]
async fn a_key_of_ones_own_makes_one_purge_of_two_submits() {
    let test = TestService::start().await;
    let shell = Shell::of(&test);
    let file = shell.file("a.csv", &lines(&test.ids_of(Kind::Eligible)[..2]));
    let arguments = ["submit", path(&file), "--idempotency-key", "night-7"];
    let (first, second) = (shell.run(&arguments).await, shell.run(&arguments).await);
    assert_eq!(first.id(), second.id());
    let other = shell.run(&["submit", path(&file)]).await;
    assert_ne!(first.id(), other.id(), "an invocation has a key of its own");
    test.end().await;
}

#[tokio::test]
async fn a_service_that_is_not_there_is_given_up() {
    let shell = Shell::new("http://127.0.0.1:1", "gpk_key");
    let id = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";
    let said = shell.run(&["watch", id, "--give-up-after", "1s"]).await;
    said.assert(6, &["the service can't be reached: ", "trying on"]);
    let said = shell.run_with_input(&["submit", "-"], "x").await;
    said.assert(6, &["the service can't be reached: "]);
    assert!(!said.err.contains("idempotency-key"), "nothing was sent: {said:?}");
}

#[tokio::test]
async fn a_busy_service_is_waited_for_as_it_asks_and_without_a_word() {
    let id = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427";
    let done = json!({ "id": id, "state": "completed", "counts": { "total": 1, "purged": 1 } });
    let fake = Fake::start([(429, json!({ "code": "too_many", "detail": "slowly" })), (200, done)]).await;
    let said = Shell::new(&fake.url, "gpk_key").run(&["watch", id]).await;
    said.assert(0, &["completed: 1 conversation\n"]);
    assert!(!said.err.contains("slowly"), "{said:?}");
    assert_eq!(fake.asked().len(), 2);
}

async fn until_said(lines: &mut Lines<BufReader<ChildStderr>>, told: &str) {
    loop {
        let line =
            timeout(LONG, lines.next_line()).await.unwrap_or_else(|_| panic!("not said: {told}")).unwrap();
        if line.unwrap_or_else(|| panic!("it ended before it said {told}")).contains(told) {
            return;
        }
    }
}

#[tokio::test]
async fn a_watch_outlives_a_restart_of_the_service() {
    let mut test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    test.settings.server.bind = test.url.strip_prefix("http://").unwrap().parse().unwrap();
    let shell = Shell::of(&test);
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..2]).await;
    let mut process = shell.command(&["watch", &purge.to_string()]).spawn().unwrap();
    let mut err = BufReader::new(process.stderr.take().unwrap()).lines();
    until_said(&mut err, "queued 0/2").await;
    test.stop_service().await;
    until_said(&mut err, "trying on").await;
    test.settings.engine.paused = false;
    test.start_service().await;
    until_said(&mut err, "the service is back").await;
    until_said(&mut err, "completed: 2 conversations").await;
    assert_eq!(timeout(LONG, process.wait()).await.unwrap().unwrap().code(), Some(0));
    test.end().await;
}

#[tokio::test]
async fn an_interrupted_watch_says_that_the_purge_goes_on() {
    let test = Setup::new().env("PURGE__ENGINE__PAUSED", "true").start().await;
    let shell = Shell::of(&test);
    let purge = test.purge(&test.ids_of(Kind::Eligible)[..2]).await;
    let mut process = shell.command(&["watch", &purge.to_string(), "--url", &test.url]).spawn().unwrap();
    let mut err = BufReader::new(process.stderr.take().unwrap()).lines();
    until_said(&mut err, "queued 0/2").await;
    send(&process, Signal::SIGINT);
    until_said(&mut err, &format!("genesys-purge purge watch {purge} --url {}", test.url)).await;
    assert_eq!(timeout(LONG, process.wait()).await.unwrap().unwrap().code(), Some(130));
    assert_eq!(test.get(&format!("/purges/{purge}")).await["state"], "queued");
    test.end().await;
}

#[tokio::test]
async fn an_interrupted_upload_says_how_to_submit_it_again() {
    let fake = Fake::start([]).await;
    let shell = Shell::new(&fake.url, "gpk_key");
    let mut process = shell.command(&["submit", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(b"the first of many\n").await.unwrap();
    assert!(until(|| fake.begun() == 1).await, "the upload begins before its input ends");
    send(&process, Signal::SIGINT);
    let said = shell.said(&timeout(LONG, process.wait_with_output()).await.unwrap().unwrap());
    said.assert(130, &["interrupted\n", "--idempotency-key "]);
    assert_eq!(
        (said.out.as_str(), fake.asked().len()),
        ("", 0),
        "what came in part is never taken for the whole"
    );
}
