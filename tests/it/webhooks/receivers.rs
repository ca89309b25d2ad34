//! The receivers of docs/webhooks.md, run as they are: each accepts what we sign and nothing else.
//!
//! Those in Python and Node need their libraries, which `.ci/run` installs and names in the environment:
//! `PURGE_TEST_PYTHON`, an interpreter that has `standardwebhooks`, and `PURGE_TEST_NODE_MODULES`, a folder with it.
//! Without them these tests say that they were left out; with `CI` set they fail.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use genesys_purge::app::World;
use genesys_purge::domain::address::AddressRules;
use genesys_purge::webhooks::{
    Destination, Message, SendError, Sender, SigningSecret, new_private_key, new_secret,
};
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::process::{LONG, tool};

const PAYLOAD: &str =
    r#"{"event":"purge_completed","purgeId":"01a21121-0ed3-717d-9b4c-869a5d197cb8","note":"é  ö"}"#;

#[path = "../../../docs/receivers/receiver.rs"]
#[expect(clippy::disallowed_methods, dead_code, reason = "it is a program of its own, with a `main`")]
mod rust;

/// What is shown must be what is tried.
#[test]
fn the_document_shows_the_receivers_as_they_are_tried() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let document = std::fs::read_to_string(folder.join("webhooks.md")).unwrap();
    for (name, language) in [
        ("receiver.rs", "rust"),
        ("receiver.py", "python"),
        ("receiver.mjs", "javascript"),
        ("public_key.mjs", "javascript"),
    ] {
        let text = std::fs::read_to_string(folder.join("receivers").join(name)).unwrap();
        assert!(document.contains(&format!("```{language}\n{text}```\n")), "docs/webhooks.md: {name}");
    }
}

#[tokio::test]
async fn the_receiver_in_rust_takes_what_we_sign_and_nothing_else() {
    let secret = new_secret([7; 32]);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = rust::router(&secret).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    try_out(&secret, port).await;
}

#[tokio::test]
async fn the_receiver_in_python_takes_what_we_sign_and_nothing_else() {
    let Some(python) = tool("PURGE_TEST_PYTHON") else { return };
    let secret = new_secret([7; 32]);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/receivers/receiver.py");
    let mut receiver = Running::start(Command::new(python).arg(program), &secret).await;
    try_out(&secret, receiver.port).await;
    receiver.said_once().await;
}

#[tokio::test]
async fn the_receiver_in_node_takes_what_we_sign_and_nothing_else() {
    let Some(modules) = tool("PURGE_TEST_NODE_MODULES") else { return };
    let secret = new_secret([7; 32]);
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    let program = folder.path().join("receiver.mjs");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/receivers/receiver.mjs"), &program)
        .unwrap();
    let mut receiver = Running::start(Command::new("node").arg(program), &secret).await;
    try_out(&secret, receiver.port).await;
    receiver.said_once().await;
}

/// Ed25519 by another library than ours.
#[tokio::test]
async fn a_public_key_verifies_in_node_what_its_private_one_signed() {
    let Some(_) = tool("PURGE_TEST_NODE_MODULES") else { return };
    let sign = |seed: u8, payload: &str, at: Timestamp| {
        let secret = SigningSecret::parse(&new_private_key([seed; 32])).unwrap();
        (secret.public_key().unwrap(), secret.sign("0190", at, payload))
    };
    let now = now();
    let (key, good) = sign(7, PAYLOAD, now);
    let (_, of_another) = sign(8, PAYLOAD, now);
    let old = now - SignedDuration::from_mins(6);
    let (_, stale) = sign(7, PAYLOAD, old);
    let other = new_secret([7; 32]);
    let other = SigningSecret::parse(&other).unwrap().sign("0190", now, PAYLOAD);
    for (signature, at, expected) in [
        (good.clone(), now, "true"),
        (format!("{other} {good}"), now, "true"),
        (of_another, now, "false"),
        (other, now, "false"),
        (good[..good.len() - 8].to_owned(), now, "false"),
        (String::new(), now, "false"),
        (good, now + SignedDuration::from_secs(1), "false"),
        (stale, old, "false"),
    ] {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/receivers/public_key.mjs");
        let headers = serde_json::json!({
            "webhook-id": "0190", "webhook-timestamp": at.as_second().to_string(), "webhook-signature": signature,
        });
        let script = format!(
            "import {{ isOurs, publicKey }} from {:?};\n\
             console.log(isOurs(publicKey({key:?}), {headers}, Buffer.from({PAYLOAD:?})));",
            module.to_str().unwrap()
        );
        let mut node = Command::new("node");
        node.args(["--input-type=module", "--eval", &script]);
        let output = node.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), expected, "{signature}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A receiver in a process of its own.
struct Running {
    _process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Running {
    async fn start(command: &mut Command, secret: &str) -> Self {
        let mut process = command
            .env("WEBHOOK_SECRET", secret)
            .env("PORT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = timeout(LONG, lines.next_line()).await.unwrap().unwrap().expect("it comes up");
        let port = line.rsplit(' ').next().unwrap().parse().unwrap();
        Self { _process: process, lines, port }
    }

    /// What it did with all that it was sent: a repeat that is dealt with again would stand between the two.
    async fn said_once(&mut self) {
        for id in ["0190-a", "0190-b"] {
            let line = timeout(LONG, self.lines.next_line()).await.unwrap().unwrap().unwrap();
            assert_eq!(line, format!("purge_completed {id}"));
        }
    }
}

fn now() -> Timestamp {
    (World::machine().clock())()
}

/// Two deliveries that are taken, one of them twice; and what is refused.
async fn try_out(secret: &str, port: u16) {
    let sender = Sender::new(AddressRules::default()).unwrap();
    let deliver = async |id: &str, secrets: &[String], at: Timestamp| {
        let url = format!("http://127.0.0.1:{port}/hooks").parse().unwrap();
        let secrets = secrets.iter().map(|text| SigningSecret::parse(text).unwrap()).collect();
        let to = Destination::of_operator(url, secrets, Duration::from_mins(1));
        let payload = PAYLOAD.replace("01a21121-0ed3-717d-9b4c-869a5d197cb8", id);
        sender.send(&to, Message::new(id, &payload), at).await.taken
    };
    let (ours, other, private) = (secret.to_owned(), new_secret([8; 32]), new_private_key([9; 32]));
    let refused = |taken| match taken {
        Err(SendError::Status { status, .. }) => status,
        taken => panic!("not refused: {taken:?}"),
    };
    let now = now();
    assert_eq!(deliver("0190-a", std::slice::from_ref(&ours), now).await, Ok(204));
    assert_eq!(deliver("0190-a", std::slice::from_ref(&ours), now).await, Ok(204), "a repeat");
    // While a secret is changed, and by an endpoint with keys of both kinds.
    assert_eq!(deliver("0190-b", &[other.clone(), private.clone(), ours.clone()], now).await, Ok(204));
    for (secrets, at) in [
        (vec![other], now),
        (vec![private], now),
        (vec![ours.clone()], now - SignedDuration::from_mins(6)),
        (vec![ours], now + SignedDuration::from_mins(6)),
    ] {
        assert_eq!(refused(deliver("0190-c", &secrets, at).await), 401);
    }
}
