//! `demo`: the main job on one machine, and what it promises to print.

use std::process::Command;

use futures_util::stream::{self, StreamExt as _};
use genesys_purge::config::Environment;
use nix::sys::signal::Signal;
use reqwest::{Client, Method};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use super::home::Home;
use crate::support::process::{LONG, send};

fn assert_tells_the_result(said: &str) {
    for line in
        ["The result equals the truth.", "the large one, by CSV", "3 by JSON", "3 by NDJSON", "3, dry run"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    for outcome in ["purged", "on_hold", "retained", "already_purged", "would_purge"] {
        assert!(said.contains(outcome), "{outcome}: {said}");
    }
    let line = |start: &str| {
        said.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {said}"))
    };
    assert!(line("Webhooks").contains("signatures verified, 0 forged"), "{said}");
    assert!(line("Webhooks").contains("purge_completed 4"), "{said}");
    assert!(said.contains("No rule of upstream was broken."), "{said}");
    assert!(line("Jobs").contains("on average"), "{said}");
    assert!(line("The whole history of one conversation").contains("/conversations/"), "{said}");
    assert!(!said.contains("differs") && !said.contains("DIFFERS"), "{said}");
}

#[tokio::test]
async fn the_demo_ends_well_and_leaves_nothing() {
    let home = Home::with_jobs_of(50).await;
    let output = home.run(&["demo", "--conversations", "300"]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_tells_the_result(&said);
    assert!(!home.data_dir().exists(), "its data are temporary");
}

/// `PURGE_DEMO_SEEDS` makes it more organizations than ten.
#[tokio::test]
async fn the_demo_equals_the_truth_whatever_the_seed() {
    const AT_ONCE: usize = 3;
    let environment = Environment::of_process();
    let seeds = environment.text("PURGE_DEMO_SEEDS").unwrap();
    let seeds: u64 = seeds.map_or(10, |seeds| seeds.parse().unwrap());
    let home = Home::with_jobs_of(20).await;
    let runs = (1..=seeds).map(async |seed| {
        let seed = seed.to_string();
        let output = home.run(&["demo", "--conversations", "150", "--seed", &seed]).await;
        let said = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "--seed {seed}: {said}{errors}");
        assert!(said.contains("The result equals the truth."), "--seed {seed}: {said}");
        assert!(said.contains("No rule of upstream was broken."), "--seed {seed}: {said}");
    });
    assert_eq!(stream::iter(runs).buffer_unordered(AT_ONCE).count().await as u64, seeds);
}

#[tokio::test]
async fn a_demo_that_is_kept_shows_three_calls_that_work() {
    let home = Home::with_jobs_of(50).await;
    let mut process =
        home.command(&["demo", "--conversations", "200", "--seed", "7", "--keep"]).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut said = String::new();
    // The last of the three calls goes over two lines.
    while !said.lines().last().is_some_and(|line| line.contains("-d '")) {
        let line = timeout(LONG, lines.next_line()).await.unwrap().unwrap();
        said.push_str(&line.unwrap_or_else(|| panic!("it ended: {said}")));
        said.push('\n');
    }
    assert_tells_the_result(&said);

    // A shell reads the calls, as it would for whoever pastes them; a function stands where the program would.
    let first = said.find("  curl ").unwrap();
    let script = format!("curl() {{ printf '%s\\037' \"$@\"; printf '\\036'; }}\n{}", &said[first..]);
    let read = Command::new("sh").args(["-c", &script]).output().unwrap();
    let read = String::from_utf8(read.stdout).unwrap();
    let calls: Vec<&str> = read.split_terminator('\u{1e}').collect();
    assert_eq!(calls.len(), 3, "{said}");
    let client = Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    for (call, status) in calls.iter().zip([200, 200, 202]) {
        let arguments: Vec<&str> = call.split_terminator('\u{1f}').collect();
        let after = |flag: &'static str| {
            arguments.iter().zip(&arguments[1..]).filter(move |(name, _)| **name == flag)
        };
        let method = if after("-d").next().is_some() { Method::POST } else { Method::GET };
        let url = arguments.iter().find(|argument| argument.starts_with("http://")).unwrap();
        let request = after("-H").fold(client.request(method, *url), |request, (_, header)| {
            let (name, value) = header.split_once(": ").unwrap();
            request.header(name, value)
        });
        let request = after("-d").fold(request, |request, (_, body)| request.body((*body).to_owned()));
        assert_eq!(request.send().await.unwrap().status(), status, "{call:?}");
    }

    send(&process, Signal::SIGINT);
    assert_eq!(timeout(LONG, process.wait()).await.unwrap().unwrap().code(), Some(0), "the result was true");
}
