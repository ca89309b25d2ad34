//! `dev`: what stays running: fixed ports, data and a key that last, a link that signs in, and nothing beyond this machine.

use std::path::PathBuf;

use genesys_purge::sandbox::Call;
use nix::sys::signal::Signal;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::time::timeout;

use super::home::{Home, until};
use crate::support::process::{LONG, send};

const FREE: [&str; 7] = ["dev", "--port", "0", "--sandbox-port", "0", "--webhooks-port", "0"];

/// One that is up, as it told itself.
struct Dev {
    process: Child,
    link: String,
    service: String,
    webhooks: String,
    genesys: String,
    key: String,
    client: Client,
}

impl Dev {
    async fn start(home: &Home, more: &[&str]) -> Self {
        let mut process = home.command(&[&FREE[..], more].concat()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = String::new();
        while !said.contains("runs until Ctrl-C") {
            let line = timeout(LONG, lines.next_line()).await.unwrap().unwrap();
            said.push_str(&line.unwrap_or_else(|| panic!("it ended: {said}")));
            said.push('\n');
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let after = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{name}: {said}")).trim().to_owned()
        };
        let client = Client::builder().tls_certs_only([]).no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).timeout(LONG).build().unwrap();
        let genesys = after("Genesys").strip_suffix("/sandbox/truth").unwrap().to_owned();
        let (link, service, webhooks, key) =
            (after("  http"), after("service"), after("webhooks"), after("key"));
        Self { process, link: format!("http{link}"), service, webhooks, genesys, key, client }
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.service)).bearer_auth(&self.key)
    }

    async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path).send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    async fn page(&self, url: &str) -> Response {
        self.client.get(url).send().await.unwrap()
    }

    /// Eligible conversations that Genesys still has.
    async fn eligible(&self, number: usize) -> Vec<String> {
        let rows = self.page(&format!("{}/sandbox/conversations?kind=eligible", self.genesys)).await;
        let rows = rows.text().await.unwrap();
        let eligible = rows.lines().skip(1).map(|row| row.split(',').next().unwrap().to_owned());
        eligible.take(number).collect()
    }

    /// Purges them to the end.
    async fn purged(&self, ids: &[String]) -> Value {
        let made = self.call(Method::POST, "/purges").json(&json!({ "conversationIds": ids }));
        let made: Value = made.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
        self.get(&format!("/purges/{}?wait=60", made["id"].as_str().unwrap())).await
    }

    async fn end(mut self) {
        send(&self.process, Signal::SIGINT);
        let status = timeout(LONG, self.process.wait()).await.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

/// A machine whose environment names a real service and its database.
async fn configured() -> Home {
    let mut home = Home::with_jobs_of(50).await;
    home.set("DATABASE_URL", "postgres://nobody@127.0.0.1:1/real");
    home.set("RETENTION_WEBHOOK_URL", "http://127.0.0.1:1/real");
    home.set("PURGE__SERVER__BIND", "0.0.0.0:1");
    home.write("genesys-purge.toml", "nonsense", 0o600);
    home
}

#[tokio::test]
async fn what_stays_running_goes_on_with_its_data_and_key_and_touches_nothing_that_is_configured() {
    let home = configured().await;
    let dev = Dev::start(&home, &["--conversations", "300"]).await;
    assert_eq!(dev.get("/orgs").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(dev.get("/orgs").await["items"][0]["name"], "sandbox");
    let ids = dev.eligible(6).await;
    let purge = dev.purged(&ids[..3]).await;
    assert_eq!((&purge["state"], &purge["counts"]["purged"]), (&json!("completed"), &json!(3)));
    // What it told is on the page, signed and with its headers.
    let shown = async || dev.page(&dev.webhooks).await.text().await.unwrap();
    let deadline = tokio::time::Instant::now() + LONG;
    let page = loop {
        let page = shown().await;
        if page.contains("<h2>purge_completed</h2>") {
            break page;
        }
        assert!(tokio::time::Instant::now() < deadline, "{page}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(page.contains("signature verified") && page.contains("webhook-signature"), "{page}");
    assert!(page.contains(purge["id"].as_str().unwrap()) && page.contains(" 0 refused"), "{page}");
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(home.data_dir().join(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(["key", "dev.json"].map(mode), [0o600; 2], "whoever else is on the machine has no key");
    let key = dev.key.clone();
    dev.end().await;
    home.until_no_database_runs().await;

    let again = Dev::start(&home, &[]).await;
    assert_eq!(again.key, key);
    assert_eq!(
        again.get(&format!("/purges/{}", purge["id"].as_str().unwrap())).await["counts"],
        purge["counts"]
    );
    let twice = again.purged(&ids[..4]).await;
    assert_eq!(twice["counts"]["already_purged"], 3, "Genesys has not forgotten: {twice}");
    assert_eq!(twice["counts"]["purged"], 1, "{twice}");
    again.end().await;
    let counts = home.sandbox.sandbox().report(0, 500).counts;
    assert!(counts.get(&Call::Token).is_none_or(std::collections::BTreeMap::is_empty), "{counts:?}");
}

#[tokio::test]
async fn a_link_signs_in_once_and_only_whom_no_other_page_sent() {
    let home = configured().await;
    let dev = Dev::start(&home, &["--conversations", "100"]).await;
    let follow = |from: Option<&'static str>| {
        let request = dev.client.get(&dev.link);
        from.iter().fold(request, |request, from| request.header("sec-fetch-site", *from)).send()
    };
    let head = dev.client.head(&dev.link).send().await.unwrap();
    assert_eq!(
        (head.status(), head.headers().get("set-cookie")),
        (StatusCode::OK, None),
        "who looks uses nothing up"
    );
    for from in ["cross-site", "same-site"] {
        let refused = follow(Some(from)).await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{from}");
        assert!(refused.headers().get("set-cookie").is_none());
    }
    let taken = follow(Some("none")).await.unwrap();
    assert_eq!(
        (taken.status(), &taken.headers()["location"]),
        (StatusCode::SEE_OTHER, &"/admin".parse().unwrap())
    );
    assert_eq!(taken.headers()["cache-control"], "no-store");
    let cookie = taken.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let admin =
        dev.client.get(format!("{}/admin", dev.service)).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(admin.status(), StatusCode::OK);
    assert!(admin.text().await.unwrap().contains("sandbox"));
    let again = follow(Some("none")).await.unwrap();
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    assert!(again.text().await.unwrap().contains("This link was used before"));
    dev.end().await;
}

#[tokio::test]
async fn what_callers_have_sent_to_the_viewer_is_verified_there() {
    let home = configured().await;
    let dev = Dev::start(&home, &["--conversations", "100"]).await;
    let endpoint = json!({ "url": format!("{}/mine", dev.webhooks), "events": ["purge_completed"] });
    let made = dev.call(Method::POST, "/webhook-endpoints").json(&endpoint).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let ids = dev.eligible(1).await;
    let wish = json!({ "conversationIds": ids, "webhookUrl": format!("{}/its-own", dev.webhooks) });
    let made = dev.call(Method::POST, "/purges").json(&wish).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::ACCEPTED);
    // The end of the job and of the purge for the operator and for the purge's own endpoint; the latter for the registered one.
    let deadline = tokio::time::Instant::now() + LONG;
    loop {
        let page = dev.page(&dev.webhooks).await.text().await.unwrap();
        assert!(page.contains(" 0 refused"), "{page}");
        if page.contains("5 verified") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{page}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    dev.end().await;
}

#[tokio::test]
async fn webhooks_of_callers_stay_on_this_machine() {
    let home = configured().await;
    let dev = Dev::start(&home, &["--conversations", "100"]).await;
    for (url, status) in [
        ("http://93.184.216.34/hooks", 422),
        ("http://10.0.0.1/hooks", 422),
        ("http://[2606:2800:220:1::1]/hooks", 422),
        ("http://127.0.0.1:1/hooks", 201),
    ] {
        let made =
            dev.call(Method::POST, "/webhook-endpoints").json(&json!({ "url": url })).send().await.unwrap();
        assert_eq!(made.status(), status, "{url}");
    }
    let host = dev.client.get(&dev.webhooks).header("host", "evil.example").send().await.unwrap();
    assert_eq!(host.status(), StatusCode::FORBIDDEN, "no site reads the page by a name of its own");
    let page = dev.page(&dev.webhooks).await;
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let forged = dev.client.post(format!("{}/hooks", dev.webhooks)).body("<b>x</b>").send().await.unwrap();
    assert_eq!(forged.status(), StatusCode::BAD_REQUEST);
    let page = dev.page(&dev.webhooks).await.text().await.unwrap();
    assert!(page.contains(" 1 refused") && !page.contains("<b>x"), "{page}");
    dev.end().await;
}

#[tokio::test]
async fn a_busy_port_and_a_folder_that_is_not_its_own_are_told_before_anything_is_begun() {
    let home = configured().await;
    let busy = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    for (command, option) in
        [("dev", "--port"), ("dev", "--sandbox-port"), ("dev", "--webhooks-port"), ("demo", "--port")]
    {
        let mut arguments = if command == "dev" { FREE.to_vec() } else { vec![command] };
        arguments.extend([option, &port]);
        if command == "dev" {
            let place = arguments.iter().position(|argument| *argument == option).unwrap();
            arguments.drain(place..place + 2);
        }
        let output = home.run(&arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = format!(
            "error: port {port} is in use: stop what listens there, or choose another port with {option}\n"
        );
        assert_eq!((output.status.code(), said), (Some(1), expected), "{arguments:?}");
    }
    assert!(!home.data_dir().exists(), "nothing was begun");

    let real: PathBuf = home.data_dir().join("postgres");
    std::fs::create_dir_all(&real).unwrap();
    let output = home.run(&FREE).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("holds the data of a service, which `dev` leaves alone"), "{said}");
    assert!(until(|| home.database_processes().is_empty()).await);
}
