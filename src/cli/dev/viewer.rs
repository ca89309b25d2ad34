//! The receiver of webhooks of a dev, and a page that shows what it got: newest first, so many and no more.
//!
//! Invariant: it answers only who calls it by a name of this machine, so that no site in a browser can read it by another; and of
//! what was not verified it keeps the reason alone.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::page;
use super::secrets::Secrets;
use crate::cli::webhooks::{Arrived, Inbox};
use crate::webhooks::{Refusal, Verifier};

/// So many that were verified are kept, and so many that were not: these can't push out the others.
const KEPT: usize = 200;
const REFUSED_KEPT: usize = 20;
/// So many characters of a header or a payload are kept.
const LONGEST: usize = 16 * 1024;
/// Nothing is loaded from elsewhere, and nothing runs.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(super) struct Viewer {
    /// Without a slash at its end.
    pub(super) url: String,
    serving: Option<AbortOnDropHandle<()>>,
}

/// One that arrived, as the page shows it.
pub(super) struct Shown {
    pub(super) at: Timestamp,
    /// What was verified, or why it was not.
    pub(super) told: Result<Delivery, String>,
}

pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) event: String,
    pub(super) is_repeat: bool,
    pub(super) headers: Vec<(String, String)>,
    pub(super) payload: String,
}

/// What arrived so far.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) verified: usize,
    pub(super) refused: usize,
    /// Newest first.
    pub(super) shown: VecDeque<Shown>,
}

struct Desk {
    inbox: Inbox,
    secrets: Secrets,
    seen: Mutex<Seen>,
}

impl Viewer {
    pub(super) async fn bind(address: SocketAddr) -> anyhow::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok((Self { url, serving: None }, listener))
    }

    pub(super) fn serve(
        self,
        listener: TcpListener,
        verifier: Verifier,
        secrets: Secrets,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        let desk = Arc::new(Desk { inbox: Inbox::new(verifier, clock), secrets, seen: Mutex::default() });
        let router = Router::new()
            .route("/", get(show))
            .route("/style.css", get(style))
            .fallback(take)
            .layer(from_fn(guard))
            .with_state(desk);
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the page of webhooks ended");
            }
        });
        Self { serving: Some(AbortOnDropHandle::new(serving)), ..self }
    }

    pub(super) fn stop(self) {
        drop(self.serving);
    }
}

async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut response = if is_of_this_machine(host) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "call it by 127.0.0.1 or localhost\n").into_response()
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_of_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

async fn take(State(desk): State<Arc<Desk>>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    match method {
        Method::POST => {}
        Method::HEAD => return StatusCode::NO_CONTENT.into_response(),
        Method::GET => return StatusCode::NOT_FOUND.into_response(),
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
    let mut arrived = desk.inbox.take(&headers, &body);
    if arrived.told.as_ref().is_err_and(Refusal::is_untrusted) {
        match desk.secrets.verifier(&body).await {
            Ok(verifier) if !verifier.is_empty() => arrived = desk.inbox.take_by(&verifier, &headers, &body),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the secrets of endpoints can't be read"),
        }
    }
    let status = arrived.status();
    let why = arrived.told.as_ref().err().map(|refusal| format!("{refusal}\n"));
    desk.seen().keep(arrived, &headers);
    match why {
        None => status.into_response(),
        Some(why) => (status, why).into_response(),
    }
}

#[derive(Debug, Deserialize)]
struct Asked {
    /// Whatever it says: the page stays as it is.
    still: Option<String>,
}

async fn show(State(desk): State<Arc<Desk>>, Query(asked): Query<Asked>) -> Html<String> {
    Html(page::rendered(&desk.seen(), KEPT, asked.still.is_some()).into_string())
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE).into_response()
}

impl Desk {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn keep(&mut self, arrived: Arrived, headers: &HeaderMap) {
        let is_verified = arrived.told.is_ok();
        *if is_verified { &mut self.verified } else { &mut self.refused } += 1;
        let told = arrived.told.map_err(|refusal| cut(refusal.to_string())).map(|taken| Delivery {
            id: cut(taken.id),
            event: cut(taken.event),
            is_repeat: taken.is_repeat,
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (name.to_string(), cut(String::from_utf8_lossy(value.as_bytes()).into_owned()))
                })
                .collect(),
            payload: cut(taken.payload),
        });
        self.shown.push_front(Shown { at: arrived.at, told });
        let most = if is_verified { KEPT } else { REFUSED_KEPT };
        let alike = |shown: &Shown| shown.told.is_ok() == is_verified;
        if self.shown.iter().filter(|shown| alike(shown)).count() > most
            && let Some(oldest) = self.shown.iter().rposition(alike)
        {
            self.shown.remove(oldest);
        }
    }
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push_str(" ...");
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;
    use crate::webhooks::{SigningSecret, new_secret};

    fn arrived(inbox: &Inbox, id: &str, body: &str, secret: &str) -> (Arrived, HeaderMap) {
        let stamp = 1_700_000_000;
        let signed =
            SigningSecret::parse(secret).unwrap().sign(id, Timestamp::from_second(stamp).unwrap(), body);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", stamp.to_string()),
            ("webhook-signature", signed),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        (inbox.take(&headers, body.as_bytes()), headers)
    }

    #[test]
    fn what_arrives_is_bounded_escaped_and_told_by_a_reason_alone_where_it_is_not_ours() {
        let (ours, other) = (new_secret([1; 32]), new_secret([2; 32]));
        let mut verifier = Verifier::default();
        verifier.add(&ours).unwrap();
        let inbox = Inbox::new(verifier, Arc::new(|| Timestamp::from_second(1_700_000_000).unwrap()));
        let mut seen = Seen::default();
        let body = r#"{"event": "<script>alert(1)</script>"}"#;
        for number in 0..=KEPT {
            let (arrived, headers) = arrived(&inbox, &format!("id-{number}"), body, &ours);
            seen.keep(arrived, &headers);
        }
        for number in 0..=REFUSED_KEPT {
            let (arrived, headers) = arrived(&inbox, &format!("forged-{number}"), "forged-body", &other);
            seen.keep(arrived, &headers);
        }
        assert_eq!((seen.verified, seen.refused), (KEPT + 1, REFUSED_KEPT + 1));
        assert_eq!(seen.shown.len(), KEPT + REFUSED_KEPT);
        assert_eq!(seen.shown.iter().filter(|shown| shown.told.is_err()).count(), REFUSED_KEPT);
        let page = page::rendered(&seen, KEPT, false).into_string();
        assert!(page.contains("id-200") && !page.contains(">id-0<"), "the oldest has gone");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "it is text");
        assert!(!page.contains("forged-"), "of what is not ours the reason is told alone");
    }

    #[test]
    fn who_calls_it_by_another_name_is_no_friend() {
        for (host, is_ours) in [
            ("127.0.0.1:8090", true),
            ("localhost", true),
            ("[::1]:8090", true),
            ("[::1]", true),
            ("evil.example:8090", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_of_this_machine(host), is_ours, "{host}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("ä".repeat(LONGEST)), "ä".repeat(LONGEST));
        assert_eq!(cut("ä".repeat(LONGEST + 1)), "ä".repeat(LONGEST) + " ...");
    }
}
