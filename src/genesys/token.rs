//! The token in hand: one for all calls of an org, renewed by one of them at a time.
//!
//! Invariant: a token that was refused is never used again, and a refusal of an older token than the one in hand
//! costs no renewal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::header::HeaderValue;
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};

use super::{
    client::Clients,
    error_answer::Call,
    failure::Failure,
    login::{Grant, Login},
    secrets::Secrets,
    upstream::TokenLife,
};

/// How long before its end a token is renewed: longer than any call, or row of calls under one token, takes.
const RENEWAL_MARGIN: Duration = Duration::from_mins(5);

/// How long the token in hand is used on, unasked, after a renewal before its end failed.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

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

/// The token of an org.
pub(super) struct Tokens {
    login: Login,
    in_hand: watch::Sender<InHand>,
    /// Held by the one that renews. The failure is that of the last renewal.
    renewal: Mutex<Option<Failure>>,
    /// How many renewals have ended, well or not.
    renewals: AtomicU64,
}

#[derive(Default)]
struct InHand {
    token: Option<Arc<Token>>,
    /// Whether the last one was refused and not yet replaced.
    last_was_refused: bool,
    /// No renewal before this moment, as long as the token lives.
    renew_from: Option<Instant>,
}

impl InHand {
    /// The token, if it needs no renewal at this moment.
    fn fresh(&self, now: Instant) -> Option<Arc<Token>> {
        let paused = self.renew_from.is_some_and(|from| now < from);
        self.token.as_ref().filter(|token| !token.is_due(now) || (paused && token.is_alive(now))).cloned()
    }

    /// The token, if it can be used at this moment.
    fn alive(&self, now: Instant) -> Option<Arc<Token>> {
        self.token.as_ref().filter(|token| token.is_alive(now)).cloned()
    }
}

impl Tokens {
    pub(super) fn new(login: Login) -> Self {
        Self {
            login,
            in_hand: watch::Sender::default(),
            renewal: Mutex::default(),
            renewals: AtomicU64::new(0),
        }
    }

    /// A token that can be used now, renewed first if it is due.
    ///
    /// One caller renews, those that have no token wait for it and share its result, failures included: fifty calls
    /// must not wait for fifty time-outs, one after the other.
    pub(super) async fn current(&self, clients: &Clients) -> Result<Arc<Token>, Failure> {
        let seen = self.renewals.load(Ordering::Acquire);
        if let Some(token) = self.in_hand.borrow().fresh(Instant::now()) {
            return Ok(token);
        }
        let alive = self.in_hand.borrow().alive(Instant::now());
        let mut last_failure = match alive {
            None => self.renewal.lock().await,
            Some(alive) => match self.renewal.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(alive),
            },
        };
        if let Some(token) = self.in_hand.borrow().fresh(Instant::now()) {
            return Ok(token);
        }
        if let Some(failure) = &*last_failure
            && self.renewals.load(Ordering::Acquire) != seen
        {
            return Err(failure.clone());
        }
        let renewed = self.renew(clients).await;
        *last_failure = renewed.as_ref().err().cloned();
        self.renewals.fetch_add(1, Ordering::Release);
        renewed
    }

    async fn renew(&self, clients: &Clients) -> Result<Arc<Token>, Failure> {
        let asked_at = Instant::now();
        let known = self.in_hand.borrow().token.as_ref().map(|token| token.secrets.clone());
        let known = known.unwrap_or_else(|| self.login.secrets());
        match self.login.token(clients, &known).await {
            Ok(grant) => {
                let mut stored = None;
                self.in_hand.send_modify(|in_hand| {
                    let token = Arc::new(Token::new(grant, asked_at, in_hand.last_was_refused));
                    stored = Some(Arc::clone(&token));
                    *in_hand = InHand { token: Some(token), ..InHand::default() };
                });
                Ok(stored.expect("`send_modify` calls its closure"))
            }
            Err(failure) => {
                // A failed renewal before the end costs nothing while the old token lives.
                let Some(alive) = self.in_hand.borrow().alive(Instant::now()) else { return Err(failure) };
                self.in_hand.send_modify(|in_hand| in_hand.renew_from = Some(Instant::now() + RENEWAL_PAUSE));
                tracing::warn!(%failure, "token renewal failed, the old token is used on");
                Ok(alive)
            }
        }
    }

    /// Forgets a token that upstream refused, unless another has already taken its place.
    pub(super) fn refused(&self, token: &Arc<Token>, call: Call) -> Refusal {
        self.in_hand.send_if_modified(|in_hand| {
            let is_in_hand = in_hand.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token));
            if is_in_hand {
                *in_hand = InHand { last_was_refused: true, ..InHand::default() };
            }
            is_in_hand
        });
        if token.is_pointless_to_renew(call) { Refusal::Pointless } else { Refusal::Forgotten }
    }

    /// Age and life of the token in hand.
    pub(super) fn life(&self) -> Option<TokenLife> {
        let now = Instant::now();
        self.in_hand.borrow().token.as_ref().map(|token| TokenLife {
            age: now - token.asked_at,
            expires_in: (token.asked_at + token.life).saturating_duration_since(now),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_a_margin_before_its_end_but_never_before_half_its_life() {
        let cases = [(86_400, 86_100), (900, 600), (600, 300), (300, 150), (10, 5), (1, 0)];
        for (life, expected) in cases {
            assert_eq!(renew_after(Duration::from_secs(life)).as_secs(), expected, "{life}");
        }
    }

    fn token(asked_at: Instant, life: u64, replaced_refused: bool) -> Token {
        let grant = Grant {
            secrets: Secrets::default(),
            authorization: HeaderValue::from_static("Bearer t"),
            life: Duration::from_secs(life),
            scopes: vec![],
        };
        Token::new(grant, asked_at, replaced_refused)
    }

    #[test]
    fn a_token_whose_renewal_failed_is_used_on_until_it_expires() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let in_hand = InHand {
            token: Some(Arc::new(token(start, 900, false))),
            last_was_refused: false,
            renew_from: Some(at(899)),
        };
        // (age, fresh, alive)
        for (age, fresh, alive) in
            [(599, true, true), (600, true, true), (898, true, true), (899, false, true), (900, false, false)]
        {
            let found = (in_hand.fresh(at(age)).is_some(), in_hand.alive(at(age)).is_some());
            assert_eq!(found, (fresh, alive), "{age}");
        }
        let unpaused = InHand { renew_from: None, ..in_hand };
        assert!(unpaused.fresh(at(600)).is_none());
        assert!(unpaused.alive(at(600)).is_some());
    }

    #[test]
    fn a_replacement_is_judged_for_each_call_alone() {
        let first = token(Instant::now(), 900, false);
        assert!(!first.is_pointless_to_renew(Call::Submit));
        let replacement = token(Instant::now(), 900, true);
        assert!(replacement.is_pointless_to_renew(Call::Submit));
        replacement.was_accepted(Call::Poll);
        assert!(!replacement.is_pointless_to_renew(Call::Poll));
        assert!(replacement.is_pointless_to_renew(Call::Submit));
    }
}
