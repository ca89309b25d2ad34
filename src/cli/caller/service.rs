//! The service as a caller meets it: an address, a key, and what its answers mean.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect, retry};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;
use uuid::Uuid;

use super::Connection;
use super::problem::{Refusal, Trouble};
use crate::cli::setting::Setting;
use crate::config::Environment;
use crate::domain::unreached::{place, unreached};

const USUAL_URL: &str = "http://127.0.0.1:8080";
const EVENT_STREAM: &str = "text/event-stream";
/// Name look-up, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What a short answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// No answer to these calls is longer.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
/// Nobody asks a person to wait for longer before the next try.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
const LARGEST_KEY_FILE: u64 = 64 * 1024;

/// A service and the key to it.
pub(in crate::cli) struct Service {
    client: Client,
    /// Without a slash at its end.
    url: String,
    key: SecretString,
    /// The options that lead here, for another command line.
    options: String,
}

impl Service {
    pub(in crate::cli) fn new(setting: &Setting, connection: &Connection) -> anyhow::Result<Self> {
        let url = match &connection.url {
            Some(url) => checked(url).with_context(|| format!("--url {}", without_user(url)))?,
            None => match setting.environment.service_url()? {
                Some(url) => checked(url).with_context(|| format!("PURGE_URL={}", without_user(url)))?,
                None => USUAL_URL.to_owned(),
            },
        };
        let key = key(&setting.environment, connection.key_file.as_deref())?;
        let mut builder = Client::builder()
            .user_agent(concat!("genesys-purge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(30))
            // The key goes to the address that it was given for, and nowhere else.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy();
        if url.starts_with("http:") {
            // Without TLS a machine without CA certificates will do.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().context("no HTTP client can be set up")?;
        let named = connection.url.as_ref().map(|url| format!(" --url {url}"));
        let file = connection.key_file.as_ref().map(|file| format!(" --key-file {}", file.display()));
        let options = [named, file].into_iter().flatten().collect();
        Ok(Self { client, url, key, options })
    }

    /// The command that watches a purge there.
    pub(in crate::cli) fn watch_command(&self, id: Uuid) -> String {
        format!("genesys-purge purge watch {id}{}", self.options)
    }

    /// What another command is told to go there, too.
    pub(in crate::cli) fn options(&self) -> &str {
        self.options.trim()
    }

    /// The address of a path, for a person.
    pub(in crate::cli) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// A request with the key.
    pub(in crate::cli) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, self.address(path))
            .header(ACCEPT, "application/json")
            .bearer_auth(self.key.expose_secret())
    }

    pub(in crate::cli) async fn purge(&self, id: Uuid) -> Result<Value, Trouble> {
        self.get(&format!("/purges/{id}"), &[]).await
    }

    pub(in crate::cli) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Trouble> {
        let request = self.request(Method::GET, path).query(query).timeout(ANSWER_TIMEOUT);
        read(request.send().await).await
    }

    /// An act, with a body where it takes one.
    pub(in crate::cli) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Trouble> {
        let request = self.request(method, path).timeout(ANSWER_TIMEOUT);
        let request = body.into_iter().fold(request, RequestBuilder::json);
        read(request.send().await).await
    }

    pub(in crate::cli) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        self.send(Method::POST, path, body).await
    }

    /// An answer of any length, in this media type.
    pub(in crate::cli) async fn download(
        &self,
        path: &str,
        query: &[(&str, String)],
        media_type: &str,
    ) -> Result<Response, Trouble> {
        let request = self.client.get(self.address(path)).query(query).header(ACCEPT, media_type);
        let sent = request.bearer_auth(self.key.expose_secret()).send().await;
        match sent {
            Ok(response) if response.status().is_success() => Ok(response),
            sent => match read(sent).await {
                Err(trouble) => Err(trouble),
                Ok(_) => Err(Trouble::Lost("the answer is not what it was".to_owned())),
            },
        }
    }

    /// The stream of a purge, from where it stands now; none where the service, or what is before it, has none.
    pub(in crate::cli) async fn stream(&self, id: Uuid) -> Option<Response> {
        let request = self.client.get(self.address(&format!("/purges/{id}/events")));
        let request = request.header(ACCEPT, EVENT_STREAM).bearer_auth(self.key.expose_secret());
        let response = timeout(CONNECT_TIMEOUT, request.send()).await.ok()?.ok()?;
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_stream = media_type.is_some_and(|value| value.starts_with(EVENT_STREAM));
        (response.status() == StatusCode::OK && is_stream).then_some(response)
    }
}

/// What an answer means.
pub(in crate::cli) async fn read(sent: Result<Response, reqwest::Error>) -> Result<Value, Trouble> {
    let mut response = sent.map_err(no_answer)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = whole(&mut response).await?;
    if response.status() == StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    if response.status().is_success() {
        let not_json = |error| {
            let error = anyhow::Error::new(error);
            Trouble::Unreadable(error.context("the answer is not JSON; is this the URL of the service?"))
        };
        return serde_json::from_slice(&body).map_err(not_json);
    }
    let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let refusal = Refusal::read(status, &body, request_id);
    Err(match status {
        429 | 502..=504 => Trouble::NotNow(refusal, retry_after(&headers)),
        _ => Trouble::Refused(refusal),
    })
}

/// What these commands read of an answer.
pub(in crate::cli) fn understood<T: for<'de> Deserialize<'de>>(answer: &Value) -> Result<T, Trouble> {
    T::deserialize(answer).map_err(|error| {
        let why = format!("the answer is not understood ({error}); is the URL that of the service?");
        Trouble::Unreadable(anyhow::anyhow!(why))
    })
}

async fn whole(response: &mut Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            let why = "the answer is too long; is this the URL of the service?";
            return Err(Trouble::Unreadable(anyhow::anyhow!(why)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(in crate::cli) fn no_answer(error: reqwest::Error) -> Trouble {
    let (is_connect, is_timeout) = (error.is_connect(), error.is_timeout());
    let at = error.url().map(place).unwrap_or_default();
    // The causes in between say that a request could not be sent, which is known.
    let why = anyhow::Error::new(error.without_url()).root_cause().to_string();
    match (is_connect, is_timeout) {
        (true, true) => Trouble::Unreachable(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())),
        (true, false) => {
            let why = unreached(&at, &why);
            // It says so itself that it can't.
            Trouble::Unreachable(why.strip_prefix("can't connect to ").unwrap_or(&why).to_owned())
        }
        (false, true) => Trouble::Lost("it took too long".to_owned()),
        (false, false) => Trouble::Lost(why),
    }
}

/// Seconds, or a date, which is measured with the clock of who wrote it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let now = httpdate::parse_http_date(headers.get("date")?.to_str().ok()?).ok()?;
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

fn checked(text: &str) -> anyhow::Result<String> {
    let url = Url::parse(text).context("expected a URL such as http://127.0.0.1:8080")?;
    ensure!(matches!(url.scheme(), "http" | "https"), "expected a URL that begins with http:// or https://");
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "expected a URL without a user or password"
    );
    ensure!(url.query().is_none() && url.fragment().is_none(), "expected a URL without `?` and `#`");
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// For an error: what stands before the last `@` may be a password, however little the text is a URL.
fn without_user(url: &str) -> Cow<'_, str> {
    url.rsplit_once('@').map_or(url.into(), |(_, rest)| format!("...@{rest}").into())
}

/// From the file that was named, else from the environment.
fn key(environment: &Environment, file: Option<&Path>) -> anyhow::Result<SecretString> {
    let key = match file {
        Some(file) => key_in(file).with_context(|| format!("--key-file {}", file.display()))?,
        None => environment.api_key()?.context(
            "no API key: set PURGE_API_KEY or give --key-file FILE; on the service's machine \
             `genesys-purge keys create` makes one",
        )?,
    };
    let is_key = key.expose_secret().bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(is_key, "the API key holds characters that no key has");
    Ok(key)
}

/// The last line that is not empty: `keys create` puts the key there.
fn key_in(file: &Path) -> anyhow::Result<SecretString> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)?.take(LARGEST_KEY_FILE).read_to_string(&mut text)?;
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    Ok(last.context("the file is empty")?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_it_is_meant_and_one_with_secrets_is_refused() {
        for (text, expected) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://purge:8080/", "http://purge:8080"),
            ("https://gate.example/purge/", "https://gate.example/purge"),
        ] {
            assert_eq!(checked(text).unwrap(), expected);
        }
        for text in ["", "localhost:8080", "ftp://a", "http://u:p@a", "http://a?x=1", "http://a#x"] {
            assert!(checked(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wait_is_read_from_seconds_and_from_dates() {
        let wait = |after: &str, date: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, after.parse().unwrap());
            headers.insert("date", date.parse().unwrap());
            retry_after(&headers)
        };
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (after, expected) in [
            ("7", Some(7)),
            ("99999", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
        ] {
            assert_eq!(wait(after, now), expected.map(Duration::from_secs), "{after}");
        }
    }

    #[test]
    fn the_key_is_the_last_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "a note\n gpk_abc \n\n").unwrap();
        assert_eq!(key_in(&file).unwrap().expose_secret(), "gpk_abc");
        std::fs::write(&file, "\n").unwrap();
        assert!(key_in(&file).is_err());
    }
}
