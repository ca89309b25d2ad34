//! A call with a token, under a permit: token, exchange, meaning, trace.
//!
//! Invariant: every call to an org's API goes this way, exactly once, and leaves one trace event.

use std::sync::Arc;

use reqwest::{Request, Url, header::AUTHORIZATION};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use super::{
    WallClock,
    client::{Clients, Lost},
    connections::TOO_LATE,
    error_answer::{Access, Call, ErrorAnswer, Meaning, meaning},
    exchange::{Reply, exchange, read_further},
    failure::{Detail, Failure},
    permit::Permit,
    token::{Refusal, Token, Tokens},
    upstream::{Answer, Lane, LoginTrouble, NotReady, Observed, TokenLife},
};

/// What a driver needs to talk to its org.
pub(super) struct Session {
    pub(super) org: String,
    /// Where the calls go.
    pub(super) base: Url,
    pub(super) clients: Clients,
    pub(super) tokens: Tokens,
    pub(super) wall_clock: WallClock,
    /// The scope that the driver's calls need, for the operator who finds it missing.
    pub(super) needed_scope: &'static str,
}

/// A call as a driver makes it: all but the token.
pub(super) struct Outgoing<'a> {
    pub(super) call: Call,
    pub(super) request: Request,
    /// The ids that the call names: an answer can blame no other.
    pub(super) batch: &'a [Uuid],
}

/// The body of a success, and what is needed to say that it can't be read.
pub(super) struct Success {
    body: Vec<u8>,
    head: Head,
}

/// What is to be said of an answer, whatever its body holds.
pub(super) struct Head {
    call: Call,
    status: u16,
    correlation_id: Option<String>,
    token: Arc<Token>,
}

impl Head {
    /// The failure that a body of another shape than agreed is: nobody can tell what it would have said.
    fn malformed(&self, why: &str) -> Failure {
        Failure::Unknown(self.detail(why).into())
    }

    /// What the answer said, fit to be kept.
    pub(super) fn strike(&self, said: &str) -> String {
        self.token.secrets.strike(said)
    }

    /// A detail of the answer.
    pub(super) fn detail(&self, what: &str) -> Detail {
        Detail {
            status: Some(self.status),
            correlation_id: self.correlation_id.clone(),
            ..Detail::new(self.call.word(), what)
        }
    }
}

impl Answer<Success> {
    /// Reads the body of a success.
    pub(super) async fn read<T: Send + 'static>(
        self,
        read: impl FnOnce(&[u8]) -> Result<T, String> + Send + 'static,
    ) -> Answer<(T, Head)> {
        let result = match self.result {
            Ok(Success { body, head }) => match read_further(body, read).await.flatten() {
                Ok(read) => Ok((read, head)),
                Err(why) => Err(head.malformed(&why)),
            },
            Err(failure) => Err(failure),
        };
        Answer { result, observed: self.observed }
    }
}

impl Session {
    /// Makes sure that a token and a connection are in hand.
    pub(super) async fn ready(&self, lane: Lane) -> Result<(), NotReady> {
        self.tokens.current(&self.clients).await?;
        self.clients.prepare(lane, &self.base).await;
        Ok(())
    }

    /// Why there is no token, if the login gives none.
    pub(super) fn login_trouble(&self) -> Option<LoginTrouble> {
        self.tokens.trouble()
    }

    /// Age and life of the token in hand.
    pub(super) fn token_life(&self) -> Option<TokenLife> {
        self.tokens.life()
    }

    /// Makes the call, once.
    pub(super) async fn call(&self, outgoing: Outgoing<'_>, permit: Permit) -> Answer<Success> {
        let started = Instant::now();
        let span = tracing::info_span!(
            "upstream_call",
            org = self.org,
            call = outgoing.call.word(),
            ids = outgoing.batch.len(),
            status = field::Empty,
            correlation_id = field::Empty,
        );
        let mut observed = Observed::default();
        let result = self.attempt(outgoing, permit, &mut observed, &span).instrument(span.clone()).await;
        observed.duration = started.elapsed();
        // The caller decides what a failure is worth in the log: here it is only traced.
        span.in_scope(|| match &result {
            Ok(_) => tracing::debug!(duration = ?observed.duration, "upstream answered"),
            Err(failure) => tracing::debug!(duration = ?observed.duration, %failure, "upstream call failed"),
        });
        Answer { result, observed }
    }

    async fn attempt(
        &self,
        outgoing: Outgoing<'_>,
        permit: Permit,
        observed: &mut Observed,
        span: &Span,
    ) -> Result<Success, Failure> {
        let Outgoing { call, mut request, batch } = outgoing;
        let not_sent = |why: &str| Failure::NotSent(Detail::new(call.word(), why).into());
        let write_before = permit.deadline(&self.wall_clock);
        let token = timeout_at(write_before.monotonic(), self.tokens.current(&self.clients))
            .await
            .map_err(|_| not_sent(TOO_LATE))?
            .map_err(|not_ready| not_ready.failure)?;
        request.headers_mut().insert(AUTHORIZATION, token.authorization.clone());

        let mut reply = match exchange(&self.clients, call, request, batch.len(), write_before).await {
            Ok(reply) => reply,
            Err(Lost::NotSent(why)) => return Err(not_sent(&why)),
            Err(Lost::Silent(why) | Lost::Unknown(why)) => {
                return Err(Failure::Unknown(Detail::new(call.word(), &why).into()));
            }
        };
        reply.strike(&token.secrets);
        observed.allowed_per_minute = reply.allowed_per_minute();
        observed.upstream_time = reply.upstream_time();
        span.record("status", reply.status).record("correlation_id", &reply.correlation_id);

        if !reply.is_success() {
            return Err(self.failure(call, reply, &token, batch).await);
        }
        token.was_accepted(call);
        let head = Head { call, status: reply.status, correlation_id: reply.correlation_id, token };
        match reply.body {
            Ok(body) => Ok(Success { body, head }),
            Err(why) => Err(head.malformed(&why)),
        }
    }

    async fn failure(&self, call: Call, mut reply: Reply, token: &Arc<Token>, batch: &[Uuid]) -> Failure {
        let (body, known) = (reply.take_failure_body(), Arc::clone(token));
        let answer = read_further(body, move |body| ErrorAnswer::read(body, &known.secrets)).await;
        let answer = answer.unwrap_or_default();
        let detail = Box::new(answer.detail(call, reply.status, reply.correlation_id.clone()));
        let meaning = match meaning(call, reply.status) {
            Meaning::TokenRefused => match self.tokens.refused(token, call) {
                Refusal::Forgotten => Meaning::TokenRefused,
                Refusal::Pointless => Meaning::Forbidden,
            },
            Meaning::Forbidden => {
                token.was_accepted(call);
                Meaning::Forbidden
            }
            other => other,
        };
        let wait = (meaning == Meaning::Throttled)
            .then(|| reply.wait(answer.message.as_deref(), (self.wall_clock)()))
            .flatten();
        let access = Access { scopes: &token.scopes, needed_scope: self.needed_scope };
        answer.failure(meaning, detail, wait, batch, &access)
    }
}
