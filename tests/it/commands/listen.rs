//! `webhooks listen`: our webhooks are printed, others are refused with a reason.

use std::process::Stdio;

use genesys_purge::app::World;
use genesys_purge::domain::address::AddressRules;
use genesys_purge::webhooks::{Destination, Message, Sender, SigningSecret, new_private_key, new_secret};
use jiff::SignedDuration;
use reqwest::{Client, StatusCode};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::home::Home;
use super::shell::Shell;
use crate::support::process::{LONG, PROGRAM, alone};

const BODY: &str = r#"{"event":"purge_completed","purgeId":"01a21121-0ed3-717d-9b4c-869a5d197cb8"}"#;

struct Listening {
    url: String,
    lines: Lines<BufReader<ChildStdout>>,
    process: Child,
}

impl Listening {
    async fn start(mut command: Command, input: &str) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = timeout(LONG, lines.next_line()).await.unwrap().unwrap().expect("it comes up");
        let url = first.strip_prefix("Listening on ").unwrap().to_owned();
        Self { url, lines, process }
    }

    /// With this secret in the environment, and with these arguments.
    async fn with(secret: &str, arguments: &[&str], input: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        alone(&mut command, &[("RETENTION_WEBHOOK_SECRET".to_owned(), secret.to_owned())], folder.path());
        command.args(["webhooks", "listen", "--port", "0"]).args(arguments);
        Self::start(command, input).await
    }

    /// The next line, without its time.
    async fn line(&mut self) -> String {
        let line = timeout(LONG, self.lines.next_line()).await.unwrap().unwrap().expect("it goes on");
        match line.split_at_checked(10) {
            Some((time, rest)) if time.ends_with("  ") && time.as_bytes()[2] == b':' => rest.to_owned(),
            _ => line,
        }
    }

    async fn deliver(&self, secret: &str, id: &str) -> Result<u16, String> {
        let secret = SigningSecret::parse(secret).unwrap();
        let to = Destination::of_operator(self.url.parse().unwrap(), vec![secret], LONG);
        let now = (World::machine().clock())();
        let sent = Sender::new(AddressRules::default()).unwrap().send(&to, Message::new(id, BODY), now).await;
        sent.taken.map_err(|error| error.to_string())
    }

    /// Takes what is printed of one that was verified.
    async fn shown(&mut self, first: &str) {
        assert_eq!(self.line().await, first);
        let mut shown = String::new();
        while !shown.ends_with('}') {
            shown += &self.line().await;
        }
        assert!(shown.contains(r#"  "event": "purge_completed""#), "{shown}");
        let payload: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(payload, serde_json::from_str::<serde_json::Value>(BODY).unwrap());
    }
}

#[tokio::test]
async fn what_we_send_is_verified_and_printed() {
    let secret = new_secret([7; 32]);
    let mut listening = Listening::with(&secret, &[], "").await;
    assert_eq!(listening.deliver(&secret, "0190-a").await, Ok(204));
    listening.shown("verified  purge_completed  0190-a").await;
    assert_eq!(listening.deliver(&secret, "0190-a").await, Ok(204));
    listening.shown("verified  purge_completed  0190-a  (again)").await;
    assert_eq!(Client::builder().build().unwrap().head(&listening.url).send().await.unwrap().status(), 204);
    assert_eq!(reqwest::get(&listening.url).await.unwrap().status(), 405);

    let pid = nix::unistd::Pid::from_raw(i32::try_from(listening.process.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(timeout(LONG, listening.process.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn what_is_not_ours_is_refused_with_its_reason_and_not_printed() {
    let secret = new_secret([7; 32]);
    let mut listening = Listening::with(&secret, &[], "").await;
    let signing = SigningSecret::parse(&secret).unwrap();
    let now = (World::machine().clock())();
    let good = signing.sign("0190", now, BODY);
    let old = now - SignedDuration::from_mins(10);
    let ahead = now + SignedDuration::from_mins(10);
    let forged = SigningSecret::parse(&new_secret([8; 32])).unwrap().sign("0190", now, BODY);
    let cut = &good[..good.len() - 8];
    let private = SigningSecret::parse(&new_private_key([7; 32])).unwrap().sign("0190", now, BODY);
    let (stale, early) = (signing.sign("0190", old, BODY), signing.sign("0190", ahead, BODY));
    let http = Client::builder().build().unwrap();
    for (signature, at, status, reason) in [
        (None, now, 400, "webhook-signature is missing"),
        (Some(""), now, 400, "webhook-signature is empty"),
        (Some(cut), now, 400, "the signature is truncated: 27 of 32 bytes"),
        (Some(private.as_str()), now, 400, "webhook-signature has no signature of this kind of secret"),
        (Some(stale.as_str()), old, 401, "stale: it was signed 60"),
        (Some(early.as_str()), ahead, 401, "it was signed "),
        (Some(forged.as_str()), now, 401, "forged: another secret, id, time or body was signed"),
        (Some(good.as_str()), old, 401, "forged: "),
    ] {
        let mut request = http.post(&listening.url).body(BODY);
        request = request.header("webhook-id", "0190").header("webhook-timestamp", at.as_second());
        if let Some(signature) = signature {
            request = request.header("webhook-signature", signature);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::from_u16(status).unwrap(), "{reason}");
        let said = answer.text().await.unwrap();
        assert!(said.starts_with(reason), "{said}");
        assert_eq!(listening.line().await, format!("refused {status}  {}", said.trim_end()));
    }
    assert_eq!(listening.deliver(&secret, "0190").await, Ok(204), "it goes on");
}

#[tokio::test]
async fn secrets_come_from_a_file_and_public_keys_from_the_command_line() {
    let (old, new, private) = (new_secret([7; 32]), new_secret([8; 32]), new_private_key([9; 32]));
    let both =
        Listening::with(&new_secret([1; 32]), &["--secret-file", "-"], &format!("{old}\n{new}\n")).await;
    assert_eq!(both.deliver(&old, "0190-a").await, Ok(204));
    assert_eq!(both.deliver(&new, "0190-b").await, Ok(204));
    assert!(both.deliver(&private, "0190-c").await.is_err());
    let public = SigningSecret::parse(&private).unwrap().public_key().unwrap();
    let by_key = Listening::with(&old, &["--public-key", &public], "").await;
    assert_eq!(by_key.deliver(&private, "0190-a").await, Ok(204));
    assert!(by_key.deliver(&old, "0190-b").await.is_err());

    let shell = Shell::new("http://127.0.0.1:9", "gpk_x");
    let empty = shell.file("empty", "\n");
    let bad = shell.file("bad", "hunter2");
    for (file, told) in [
        (empty.to_str().unwrap(), "it contains no secret"),
        (bad.to_str().unwrap(), "a webhook secret begins with `whsec_` or `whsk_`"),
        ("no-such-file", "No such file"),
    ] {
        let said = shell.webhooks(&["listen", "--port", "0", "--secret-file", file]).await;
        said.assert(1, &[told]);
        assert!(!said.err.contains("hunter2"), "{said:?}");
    }
}

/// Beside a `serve` on the same machine nothing has to be told.
#[tokio::test]
async fn without_a_secret_it_is_the_one_that_serve_made() {
    let home = Home::with_jobs_of(0).await;
    let serving = home.serve().await;
    let secret = home.say(&["webhooks", "secret"]).await;
    let command = home.command(&["webhooks", "listen", "--port", "0"]);
    let listening = Listening::start(command, "").await;
    assert_eq!(listening.deliver(secret.trim_end(), "0190").await, Ok(204));
    drop(serving);
}
