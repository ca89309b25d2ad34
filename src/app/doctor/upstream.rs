//! Genesys, one org at a time: does the login accept our credentials, and does it answer a details query? Only the
//! first submit shows whether it also lets us delete.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::database::Connected;
use super::finding::Finding;
use super::{LONGEST, Practice, clock, too_long};
use crate::app::{driver, org_terms};
use crate::config::OrgSettings;
use crate::domain::limiter::PERMIT_LIFE;
use crate::genesys::{self, Answer, Failure, Lane, NotReady, Upstream};
use crate::store::orgs::limiter::Call;

/// A permit is waited for so long; the service's own work goes before.
const LONGEST_PERMIT_WAIT: Duration = Duration::from_secs(5);
/// Silence after a 429 that names no time.
const USUAL_SILENCE: Duration = Duration::from_secs(10);
/// The `Date` of an answer is cut to the second.
const CUT: SignedDuration = SignedDuration::from_secs(1);

pub(super) async fn examine(
    practice: &Practice<'_>,
    name: &str,
    org: &OrgSettings,
    connected: Option<&Connected>,
) -> Vec<Finding> {
    let host = org.base_url.host_str().unwrap_or_default();
    if practice.is_offline {
        return vec![Finding::skipped("genesys", format_args!("{host}: --offline")).of(name)];
    }
    let findings = match driver(name, org, practice.world) {
        Ok(upstream) => Visit { practice, name, org, connected, upstream: &upstream }.findings().await,
        Err(error) => vec![Finding::fail("genesys", error, "install the CA certificates of this system")],
    };
    findings.into_iter().map(|finding| finding.of(name)).collect()
}

/// One org that is asked.
struct Visit<'a> {
    practice: &'a Practice<'a>,
    name: &'a str,
    org: &'a OrgSettings,
    connected: Option<&'a Connected>,
    upstream: &'a dyn Upstream,
}

impl Visit<'_> {
    async fn findings(&self) -> Vec<Finding> {
        let token = self.token().await;
        let has_token = self.upstream.token_life().is_some();
        let mut findings = vec![token];
        if !has_token {
            findings.push(Finding::skipped("details query", "there is no token to ask with"));
            return findings;
        }
        match self.permit().await {
            Ok(permit) => {
                let ids = [(self.practice.world.new_id())()];
                let asked = tokio::time::timeout(LONGEST, self.upstream.facts(&ids, permit)).await;
                let Ok(answer) = asked else {
                    let detail = format!("{}: {}", self.base_host(), too_long());
                    findings.push(Finding::fail("details query", detail, self.address_remedy()));
                    return findings;
                };
                let own = (self.practice.world.clock())();
                findings.push(self.details(&answer).await);
                findings.extend(self.clock(own, &answer));
            }
            Err(finding) => findings.push(finding),
        }
        findings
    }

    async fn token(&self) -> Finding {
        let host = host(self.org.login_url.host_str(), self.org.login_url.port());
        let began = Instant::now();
        match tokio::time::timeout(LONGEST, self.upstream.ready(Lane::Query)).await {
            Ok(Ok(())) => {
                let life =
                    self.upstream.token_life().map(|life| life.expires_in.as_secs()).unwrap_or_default();
                let millis = began.elapsed().as_millis();
                let life = if life < 7200 {
                    format!("{} min", life.div_ceil(60))
                } else {
                    format!("{} h", life.div_ceil(3600))
                };
                Finding::ok("token", format_args!("{host} grants one for {life}, in {millis} ms"))
            }
            Ok(Err(NotReady { failure, .. })) => {
                let remedy = match &failure {
                    Failure::Forbidden { .. } => format!(
                        "check {} and {}, and that the client's grant is client credentials",
                        self.setting("client_id"),
                        self.setting("client_secret")
                    ),
                    Failure::Throttled { .. } => {
                        "others ask for tokens too; try again in a minute".to_owned()
                    }
                    _ => format!(
                        "check {}, the name look-up and the way out of this machine",
                        self.setting("login_url")
                    ),
                };
                Finding::fail("token", format_args!("{host}: {failure}"), remedy)
            }
            Err(_) => {
                let detail = format!("{host}: {}", too_long());
                Finding::fail("token", detail, format_args!("check {}", self.setting("login_url")))
            }
        }
    }

    /// The limiter of the org counts for all; before the first `serve` there is none.
    async fn permit(&self) -> Result<genesys::Permit, Finding> {
        // The wall clock first: a machine that is suspended in between is seen to have been.
        let permit_until = |until: Instant| {
            let now = (self.practice.world.clock())();
            let left = SignedDuration::try_from(until.saturating_duration_since(Instant::now()));
            genesys::Permit::until(until, now + left.unwrap_or(SignedDuration::ZERO))
        };
        let Some(connected) = self.connected.filter(|connected| connected.knows(self.name)) else {
            return Ok(permit_until(Instant::now() + PERMIT_LIFE));
        };
        let terms = org_terms(self.name, self.org);
        let until = Instant::now() + LONGEST_PERMIT_WAIT;
        loop {
            let taken =
                tokio::time::timeout(LONGEST, connected.store.take_permit(&terms, Call::Details)).await;
            let wait = match taken {
                Ok(Ok(Ok(permit))) => return Ok(permit_until(permit.valid_until)),
                Ok(Ok(Err(wait))) => wait,
                Ok(Err(error)) => return Err(Finding::skipped("details query", error)),
                Err(_) => return Err(Finding::skipped("details query", "the database gives no permit")),
            };
            if Instant::now() + wait > until {
                let detail = format!(
                    "no call is allowed for {} s: the budget is used up, or Genesys asked to wait",
                    wait.as_secs()
                );
                return Err(Finding::skipped("details query", detail));
            }
            tokio::time::sleep(wait.max(Duration::from_millis(10))).await;
        }
    }

    async fn details<T>(&self, answer: &Answer<T>) -> Finding {
        let millis = answer.observed.duration.as_millis();
        let Err(failure) = &answer.result else {
            return Finding::ok("details query", format_args!("answered in {millis} ms"));
        };
        let remedy = match failure {
            Failure::Forbidden { .. } | Failure::TokenRefused(_) => {
                "give the OAuth client, and its role, what the answer calls missing".to_owned()
            }
            Failure::Throttled { wait, .. } => {
                self.be_silent(wait.unwrap_or(USUAL_SILENCE)).await;
                let remedy = "others use the same OAuth client; lower requests_per_minute if it stays so";
                return Finding::warn("details query", failure, remedy);
            }
            Failure::Refused(_) | Failure::WrongUpstream(_) => {
                format!("check {}: this host does not know the call", self.setting("base_url"))
            }
            _ => self.address_remedy(),
        };
        Finding::fail("details query", format_args!("{}: {failure}", self.base_host()), remedy)
    }

    /// What the engine would do after a 429: the silence is for everybody.
    async fn be_silent(&self, wait: Duration) {
        if let Some(connected) = self.connected.filter(|connected| connected.knows(self.name)) {
            let closing = connected.store.close_limiter(self.name, Call::Details, wait);
            // The finding is told all the same, and the engine meets the 429 itself.
            let _ = tokio::time::timeout(LONGEST, closing).await;
        }
    }

    /// Genesys' clock against that of ours and of the database which is further away: the engine compares all three.
    fn clock<T>(&self, own: Timestamp, answer: &Answer<T>) -> Option<Finding> {
        let upstream = answer.observed.upstream_time?;
        let took = SignedDuration::try_from(answer.observed.duration).unwrap_or_default();
        let database = self.connected.and_then(|connected| own.checked_add(connected.ahead).ok());
        let apart = |time: Timestamp| upstream.duration_since(time).abs();
        let (whose, ours) = match database {
            Some(database) if apart(database) > apart(own) + CUT => ("the database's", database),
            _ => ("this machine's", own),
        };
        Some(clock::compare("clock", (whose, ours), upstream, took + CUT))
    }

    fn base_host(&self) -> String {
        host(self.org.base_url.host_str(), self.org.base_url.port())
    }

    fn address_remedy(&self) -> String {
        format!("check {}, the name look-up and the way out of this machine", self.setting("base_url"))
    }

    fn setting(&self, key: &str) -> String {
        format!("orgs.{}.{key}", self.name)
    }
}

/// Who is asked, with the port where it is not the usual one.
fn host(name: Option<&str>, port: Option<u16>) -> String {
    let name = name.unwrap_or_default();
    port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}
