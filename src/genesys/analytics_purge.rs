//! The driver `analytics_purge`: conversations of the analytics archive are purged by ids, in one call.
//!
//! Invariant: this driver's addresses, bodies and states are known here and in `answers` alone.

mod answers;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use async_trait::async_trait;
use reqwest::{
    Method, Request, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use secrecy::SecretString;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    WallClock,
    client::{ClientError, Clients, Timeouts},
    error_answer::Call,
    failure::{Detail, Failure},
    login::Login,
    permit::Permit,
    session::{Outgoing, Session},
    token::Tokens,
    upstream::{
        Answer, JobStatus, Lane, LoginTrouble, NotReady, Observed, TokenLife, Told, Upstream, UpstreamJobId,
    },
};
use crate::meters::Meters;
use answers::Details;

/// The scope that a token needs.
const NEEDED_SCOPE: &str = "analytics:conversation:delete";

/// Where an org is and who we are to it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the org in this service.
    pub org: String,
    /// Where its API is, with or without a path.
    pub base_url: String,
    /// Where its login is, with or without a path.
    pub login_url: String,
    /// The OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
}

/// Why an org can't be reached with its settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A URL that can't be one of an upstream. It is not repeated: it may hold credentials.
    #[error("orgs.{org}.{key}: {problem}")]
    Url {
        /// The org.
        org: String,
        /// `base_url` or `login_url`.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// No HTTP client.
    #[error("orgs.{org}: {source}")]
    Client {
        /// The org.
        org: String,
        /// Why.
        source: ClientError,
    },
}

/// An org whose archive is purged by the analytics API.
pub struct AnalyticsPurge {
    session: Session,
    details_url: Url,
    purge_url: Url,
}

impl AnalyticsPurge {
    /// A client of the org; nothing is called yet.
    pub fn new(settings: Settings, wall_clock: WallClock) -> Result<Self, SettingsError> {
        Self::with_timeouts(settings, wall_clock, Timeouts::POLICY)
    }

    /// Records its calls there.
    #[must_use]
    pub fn measured(mut self, meters: Meters) -> Self {
        self.session.clients.meters = meters;
        self
    }

    fn with_timeouts(
        settings: Settings,
        wall_clock: WallClock,
        timeouts: Timeouts,
    ) -> Result<Self, SettingsError> {
        let Settings { org, base_url, login_url, client_id, client_secret } = settings;
        let base = upstream_url(&org, "base_url", &base_url)?;
        let login = upstream_url(&org, "login_url", &login_url)?;
        let https = [&base, &login].iter().any(|url| url.scheme() == "https");
        let clients = match Clients::build(&org, https, timeouts, &wall_clock) {
            Ok(clients) => clients,
            Err(source) => return Err(SettingsError::Client { org, source }),
        };
        let tokens = Tokens::new(Login {
            url: below(&login, &["oauth", "token"]),
            client_id,
            client_secret,
            wall_clock: WallClock::clone(&wall_clock),
        });
        let conversations = ["api", "v2", "analytics", "conversations"];
        Ok(Self {
            session: Session {
                org,
                base: base.clone(),
                clients,
                tokens,
                wall_clock,
                needed_scope: NEEDED_SCOPE,
            },
            details_url: below(&below(&base, &conversations), &["details", "query"]),
            purge_url: below(&below(&base, &conversations), &["purge"]),
        })
    }
}

#[async_trait]
impl Upstream for AnalyticsPurge {
    async fn ready(&self, lane: Lane) -> Result<(), NotReady> {
        self.session.ready(lane).await
    }

    async fn facts(&self, ids: &[Uuid], permit: Permit) -> Answer<Told> {
        if ids.is_empty() {
            let told = Told { facts: HashMap::new(), incomplete: None };
            return Answer { result: Ok(told), observed: Observed::default() };
        }
        let request = post(&self.details_url, details_body(ids));
        let outgoing = Outgoing { call: Call::Facts, request, batch: ids };
        let asked = ids.to_vec();
        let answer = self.session.call(outgoing, permit).await;
        let answer = answer.read(move |body| answers::details(body, &asked)).await;
        answer.map(|(Details { facts, missing }, head)| Told {
            facts,
            incomplete: missing.map(|why| head.detail(&why).into()),
        })
    }

    async fn submit(&self, ids: &[Uuid], permit: Permit) -> Answer<UpstreamJobId> {
        if ids.is_empty() {
            // What a purge of no ids would delete is nothing to find out.
            let detail = Detail::new(Call::Submit.word(), "a submit without ids is never sent");
            return Answer { result: Err(Failure::NotSent(detail.into())), observed: Observed::default() };
        }
        let request = post(&self.purge_url, submit_body(ids));
        let outgoing = Outgoing { call: Call::Submit, request, batch: ids };
        let answer = self.session.call(outgoing, permit).await;
        answer.read(answers::job_id).await.map(|(job_id, _)| job_id)
    }

    async fn poll(&self, upstream_job_id: &str, permit: Permit) -> Answer<JobStatus> {
        let mut request = Request::new(Method::GET, below(&self.purge_url, &[upstream_job_id]));
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let outgoing = Outgoing { call: Call::Poll, request, batch: &[] };
        let asked = upstream_job_id.to_owned();
        let answer = self.session.call(outgoing, permit).await;
        answer
            .read(move |body| answers::job_status(body, &asked))
            .await
            .map(|(status, head)| status.said_as(|state| head.strike(state)))
    }

    fn body_digest(&self, ids: &[Uuid]) -> [u8; 32] {
        Sha256::digest(submit_body(ids)).into()
    }

    fn token_life(&self) -> Option<TokenLife> {
        self.session.token_life()
    }

    fn login_trouble(&self) -> Option<LoginTrouble> {
        self.session.login_trouble()
    }
}

/// The body of a details query. The ids are written by us, as hex digits and dashes: nothing in them can end the
/// string or the list that they stand in.
fn details_body(ids: &[Uuid]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body {
        query: String,
        view: &'static str,
    }
    let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    json(&Body { query: format!("conversationId IN ({})", ids.join(",")), view: "default" })
}

/// The body of a submit: what is sent, and what [`Upstream::body_digest`] digests.
fn submit_body(ids: &[Uuid]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        conversation_ids: &'a [Uuid],
        permanent_delete: bool,
    }
    json(&Body { conversation_ids: ids, permanent_delete: true })
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("strings, UUIDs and booleans are JSON")
}

fn post(url: &Url, body: Vec<u8>) -> Request {
    let mut request = Request::new(Method::POST, url.clone());
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json.clone());
    request.headers_mut().insert(ACCEPT, json);
    *request.body_mut() = Some(body.into());
    request
}

/// A setting that names an upstream: an absolute address that no credentials or queries are part of.
fn upstream_url(org: &str, key: &'static str, text: &str) -> Result<Url, SettingsError> {
    let fault = |problem: String| SettingsError::Url { org: org.to_owned(), key, problem };
    let url = Url::parse(text).map_err(|error| fault(format!("not a URL ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fault("must begin with https:// (or http:// for a sandbox)".into()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("must not hold a user name or a password".into()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fault("must end with its path".into()));
    }
    Ok(url)
}

/// The address below another; segments are escaped, so that nothing in a job's name can lead elsewhere.
fn below(url: &Url, segments: &[&str]) -> Url {
    let mut url = url.clone();
    url.path_segments_mut().expect("http and https URLs have a path").pop_if_empty().extend(segments);
    url
}
