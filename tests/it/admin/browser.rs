//! A Chromium of the test's own, driven by `WebDriver` (<https://www.w3.org/TR/webdriver2/>).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What somebody would wait for a page to change.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The name under which `WebDriver` hands elements over.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Driver, browser and window; all end with it.
pub struct Browser {
    client: Client,
    port: u16,
    session: String,
    _driver: Child,
}

impl Browser {
    /// One that has seen nothing yet.
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver: install the packages chromium and chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says on which port it listens");
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--no-first-run",
            "--window-size=1280,900",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let mut browser = Self { client, port, session: String::new(), _driver: driver };
        let session = browser.ask(Method::POST, "/session", wanted).await.unwrap();
        session["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        browser
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let request = self.client.request(method.clone(), url);
        let request = if method == Method::GET { request } else { request.json(&body) };
        let mut answer: Value = request.send().await.unwrap().json().await.unwrap();
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default())),
            None => Ok(value),
        }
    }

    async fn of_session(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        self.ask(method, &format!("/session/{}{path}", self.session), body).await
    }

    pub async fn go(&self, url: &str) {
        self.of_session(Method::POST, "/url", json!({"url": url})).await.unwrap();
    }

    pub async fn url(&self) -> String {
        self.of_session(Method::GET, "/url", Value::Null).await.unwrap().as_str().unwrap().to_owned()
    }

    /// Runs a script in the page, which returns something.
    pub async fn run(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.of_session(Method::POST, "/execute/sync", body).await.unwrap()
    }

    /// The same for one that answers later, by its last argument.
    pub async fn run_long(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.of_session(Method::POST, "/execute/async", body).await.unwrap()
    }

    async fn find(&self, css: &str) -> Result<String, String> {
        let found =
            self.of_session(Method::POST, "/element", json!({"using": "css selector", "value": css})).await?;
        Ok(found[ELEMENT].as_str().unwrap().to_owned())
    }

    /// Does something with an element, which may be still to come, or be replaced at this moment.
    async fn with(&self, css: &str, method: Method, what: &str, body: Value) -> Value {
        let begun = Instant::now();
        loop {
            let done = async {
                let element = self.find(css).await?;
                let path = format!("/element/{element}/{what}");
                self.of_session(method.clone(), &path, body.clone()).await
            };
            match done.await {
                Ok(value) => return value,
                Err(error) if begun.elapsed() > PATIENCE => {
                    panic!("{what} {css} at {}: {error}\n{}", self.url().await, self.text("body").await)
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    pub async fn click(&self, css: &str) {
        self.with(css, Method::POST, "click", json!({})).await;
    }

    pub async fn fill(&self, css: &str, text: &str) {
        self.with(css, Method::POST, "value", json!({"text": text})).await;
    }

    pub async fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(css));
        self.run(&script).await.as_str().unwrap().to_owned()
    }

    /// Waits until this stands there.
    pub async fn until_text(&self, css: &str, wanted: &str) {
        let begun = Instant::now();
        loop {
            let text = self.text(css).await;
            if text.contains(wanted) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{wanted:?} does not come at {}: {}",
                self.url().await,
                self.text("body").await
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn developer(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.of_session(Method::POST, "/goog/cdp/execute", body).await.unwrap()
    }

    /// How wide the window is, and whether its owner likes it dark.
    pub async fn look(&self, width: u32, is_dark: bool) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.developer("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.developer("Emulation.setEmulatedMedia", json!({"features": [feature]})).await;
    }

    /// A picture of the whole page, where somebody wants to see it.
    pub async fn picture(&self, name: &str) {
        #[expect(clippy::disallowed_methods, reason = "pictures are for whoever runs the test")]
        let Some(folder) = std::env::var_os("PURGE_SCREENSHOTS").map(PathBuf::from) else { return };
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.developer("Page.captureScreenshot", whole).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes.unwrap()).unwrap();
    }

    /// What the browser complained of since it was asked last: scripts that failed, and what the policy forbade.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.of_session(Method::POST, "/se/log", json!({"type": "browser"})).await.unwrap();
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    /// The browser ends with its session; killing the driver alone would leave it.
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let asked = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            self.session
        );
        let _ = stream.write_all(asked.as_bytes());
        let _ = stream.read(&mut [0; 512]);
    }
}
