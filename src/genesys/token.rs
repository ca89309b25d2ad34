//! The current token: one for all calls of an org, renewed once for all of them.
//!
//! Invariant: a token that was refused is never used again, and a refusal of an older token than the current one
//! causes no renewal. After a failed renewal, the next one waits for its backoff.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use reqwest::header::HeaderValue;
use tokio::{sync::watch, time::Instant};
use tracing::Instrument;

use super::{
    client::Clients,
    error_answer::Call,
    failure::{Detail, Failure},
    login::{Grant, Login, LoginFailure},
    upstream::{LoginTrouble, NotReady, TokenLife},
};
use crate::domain::backoff;
use crate::domain::secrets::Secrets;

/// How long before its end a token is renewed: longer than any call, or row of calls under one token, takes.
const RENEWAL_MARGIN: Duration = Duration::from_mins(5);

/// A token, and what has become of it.
pub(super) struct Token {
    pub(super) secrets: Secrets,
    pub(super) authorization: HeaderValue,
    pub(super) scopes: Vec<String>,
    /// From before it was asked for: upstream can't have counted its life from any earlier.
    asked_at: Instant,
    life: Duration,
    /// Whether the one before it was refused.
    replaced_refused: bool,
    /// For which calls it was accepted, by [`accepted_index`].
    accepted: [AtomicBool; 3],
}

impl Token {
    fn new(grant: Grant, asked_at: Instant, replaced_refused: bool) -> Self {
        Self {
            secrets: grant.secrets,
            authorization: grant.authorization,
            scopes: grant.scopes,
            asked_at,
            life: grant.life,
            replaced_refused,
            accepted: Default::default(),
        }
    }

    /// Notes that upstream accepted this token for a call.
    pub(super) fn was_accepted(&self, call: Call) {
        if let Some(index) = accepted_index(call) {
            self.accepted[index].store(true, Ordering::Relaxed);
        }
    }

    /// Whether a refusal of this token, on this call, says more than that it has expired: it was fetched because the
    /// one before was refused, and never worked for this call either. Each call is looked at alone, else polls that
    /// work would let a submit that never does ask for new tokens forever.
    fn is_pointless_to_renew(&self, call: Call) -> bool {
        let accepted = accepted_index(call).is_some_and(|index| self.accepted[index].load(Ordering::Relaxed));
        self.replaced_refused && !accepted
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.asked_at + renew_after(self.life)
    }

    fn is_alive(&self, now: Instant) -> bool {
        now < self.asked_at + self.life
    }
}

fn accepted_index(call: Call) -> Option<usize> {
    match call {
        Call::Token => None,
        Call::Facts => Some(0),
        Call::Submit => Some(1),
        Call::Poll => Some(2),
    }
}

/// The age at which a token of this life is renewed: the margin before its end, but at most half its life before, so
/// that a token that lives shorter than the margin is not renewed for every call.
fn renew_after(life: Duration) -> Duration {
    life.saturating_sub(RENEWAL_MARGIN.min(life / 2))
}

/// What a refusal of a token comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The next call has another token.
    Forgotten,
    /// Another token has already not helped.
    Pointless,
}

/// The token of an org. A clone is of the same.
#[derive(Clone)]
pub(super) struct Tokens(Arc<Shared>);

struct Shared {
    login: Login,
    in_hand: watch::Sender<InHand>,
}

#[derive(Default)]
struct InHand {
    token: Option<Arc<Token>>,
    /// Whether the last one was refused and not yet replaced.
    last_was_refused: bool,
    is_renewing: bool,
    /// What became of the last renewal, if it failed.
    failed: Option<Failed>,
}

/// A row of renewals that failed.
struct Failed {
    /// That of the last.
    failure: Failure,
    /// When the first failed.
    since: Timestamp,
    times: u32,
    /// When the next may begin.
    next_at: Instant,
}

/// What a caller does who needs a token.
enum Next {
    Use(Arc<Token>),
    /// A renewal is under way.
    Wait,
    /// The last renewal failed, and it is too soon for another.
    Fail(NotReady),
}

impl InHand {
    /// The token, if it can be used at this moment.
    fn alive(&self, now: Instant) -> Option<&Arc<Token>> {
        self.token.as_ref().filter(|token| token.is_alive(now))
    }

    /// Whether a renewal is to begin now.
    fn wants_renewal(&self, now: Instant) -> bool {
        let is_due = self.alive(now).is_none_or(|token| token.is_due(now));
        let is_too_soon = self.failed.as_ref().is_some_and(|failed| now < failed.next_at);
        is_due && !self.is_renewing && !is_too_soon
    }

    fn next(&self, now: Instant) -> Next {
        match (self.alive(now), &self.failed) {
            (Some(token), _) => Next::Use(Arc::clone(token)),
            (None, Some(failed)) if !self.is_renewing => Next::Fail(failed.tell(now)),
            (None, _) => Next::Wait,
        }
    }

    fn renewed(&mut self, grant: Grant, asked_at: Instant) {
        let token = Token::new(grant, asked_at, self.last_was_refused);
        *self = Self { token: Some(Arc::new(token)), ..Self::default() };
    }

    fn not_renewed(&mut self, failed: LoginFailure, now: Instant, wall_time: Timestamp) {
        let LoginFailure { failure, wait } = failed;
        let before = self.failed.take();
        let times = before.as_ref().map_or(0, |failed| failed.times).saturating_add(1);
        let since = before.map_or(wall_time, |failed| failed.since);
        let wait = wait.unwrap_or_else(|| backoff::step(times - 1, 1.0));
        self.failed = Some(Failed { failure, since, times, next_at: now + wait });
        self.is_renewing = false;
    }
}

impl Failed {
    fn tell(&self, now: Instant) -> NotReady {
        let again_in = self.next_at.saturating_duration_since(now);
        let failure = match &self.failure {
            Failure::Throttled { detail, .. } => {
                Failure::Throttled { detail: detail.clone(), wait: Some(again_in) }
            }
            other => other.clone(),
        };
        NotReady { failure, again_in }
    }
}

impl Tokens {
    pub(super) fn new(login: Login) -> Self {
        Self(Arc::new(Shared { login, in_hand: watch::Sender::default() }))
    }

    /// A token that can be used now, renewed first if there is none.
    ///
    /// The renewal runs on by itself, whoever waits for it and for however long: a caller that may wait for a second
    /// would otherwise begin one after the other and see the end of none. All that wait share its result, and those
    /// that come before the next may begin share its failure. A token that is only due is used on meanwhile.
    pub(super) async fn current(&self, clients: &Clients) -> Result<Arc<Token>, NotReady> {
        let mut changes = self.0.in_hand.subscribe();
        loop {
            changes.mark_unchanged();
            match self.next(clients) {
                Next::Use(token) => return Ok(token),
                Next::Fail(not_ready) => return Err(not_ready),
                // The sender is our own, so this ends with a change alone.
                Next::Wait => drop(changes.changed().await),
            }
        }
    }

    fn next(&self, clients: &Clients) -> Next {
        let now = Instant::now();
        let mut begins = false;
        self.0.in_hand.send_if_modified(|in_hand| {
            begins = in_hand.wants_renewal(now);
            in_hand.is_renewing |= begins;
            false
        });
        if begins {
            let renewal = Renewal { shared: Arc::clone(&self.0), is_over: false };
            tokio::spawn(renewal.run(clients.clone()).in_current_span());
        }
        self.0.in_hand.borrow().next(now)
    }

    /// Forgets a token that upstream refused, unless another has already taken its place.
    pub(super) fn refused(&self, token: &Arc<Token>, call: Call) -> Refusal {
        self.0.in_hand.send_if_modified(|in_hand| {
            let is_in_hand = in_hand.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token));
            if is_in_hand {
                (in_hand.token, in_hand.last_was_refused) = (None, true);
            }
            is_in_hand
        });
        if token.is_pointless_to_renew(call) { Refusal::Pointless } else { Refusal::Forgotten }
    }

    /// Age and life of the token in hand.
    pub(super) fn life(&self) -> Option<TokenLife> {
        let now = Instant::now();
        self.0.in_hand.borrow().token.as_ref().map(|token| TokenLife {
            age: now - token.asked_at,
            expires_in: (token.asked_at + token.life).saturating_duration_since(now),
        })
    }

    /// Why there is no token, if the login gives none.
    pub(super) fn trouble(&self) -> Option<LoginTrouble> {
        let now = Instant::now();
        let in_hand = self.0.in_hand.borrow();
        let failed = in_hand.failed.as_ref().filter(|_| in_hand.alive(now).is_none())?;
        Some(LoginTrouble {
            since: failed.since,
            detail: failed.failure.detail().clone(),
            next_try_in: failed.next_at.saturating_duration_since(now),
        })
    }
}

/// A renewal under way, in a task of its own.
struct Renewal {
    shared: Arc<Shared>,
    is_over: bool,
}

impl Renewal {
    async fn run(mut self, clients: Clients) {
        let asked_at = Instant::now();
        let known = self.shared.in_hand.borrow().token.as_ref().map(|token| token.secrets.clone());
        let known = known.unwrap_or_else(|| self.shared.login.secrets());
        let result = self.shared.login.token(&clients, &known).await;
        self.end(result, asked_at);
    }

    fn end(&mut self, result: Result<Grant, LoginFailure>, asked_at: Instant) {
        self.is_over = true;
        let wall_time = (self.shared.login.wall_clock)();
        self.shared.in_hand.send_modify(|in_hand| match result {
            Ok(grant) => in_hand.renewed(grant, asked_at),
            Err(failed) => {
                let now = Instant::now();
                if in_hand.alive(now).is_some() {
                    tracing::warn!(failure = %failed.failure, "token renewal failed; the old token is still used");
                }
                in_hand.not_renewed(failed, now, wall_time);
            }
        });
    }
}

impl Drop for Renewal {
    /// Whatever ended it, nobody waits for it any more.
    fn drop(&mut self) {
        if !self.is_over {
            let detail = Detail::new(Call::Token.word(), "the login was broken off");
            let failed = LoginFailure { failure: Failure::NotSent(detail.into()), wait: None };
            self.end(Err(failed), Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
