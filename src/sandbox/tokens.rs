//! The tokens that the sandbox has given out.
//!
//! Invariant: only a token that was given out here, has not expired and was not revoked opens a call.

use std::collections::HashMap;

use jiff::Timestamp;
use rand::{RngExt, rngs::StdRng};

use super::clock::plus_millis;

/// Tokens that expired longer ago than this are forgotten.
const REMEMBERED_MS: i64 = 86_400_000;

#[derive(Debug, Default)]
pub(super) struct Tokens(HashMap<String, Timestamp>);

/// What a token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    Good,
    /// It was good until then.
    Expired(Timestamp),
    /// Never given out, or revoked.
    Unknown,
}

impl Tokens {
    pub(super) fn issue(&mut self, now: Timestamp, lifetime_seconds: u32, chance: &mut StdRng) -> String {
        self.0.retain(|_, expires| plus_millis(*expires, REMEMBERED_MS) > now);
        let token = hex::encode(chance.random::<[u8; 32]>());
        self.0.insert(token.clone(), plus_millis(now, i64::from(lifetime_seconds) * 1000));
        token
    }

    pub(super) fn worth(&self, token: &str, now: Timestamp) -> Worth {
        match self.0.get(token) {
            None => Worth::Unknown,
            Some(expires) if *expires <= now => Worth::Expired(*expires),
            Some(_) => Worth::Good,
        }
    }

    /// Revokes every token; returns how many there were.
    pub(super) fn revoke_all(&mut self) -> usize {
        let count = self.0.len();
        self.0.clear();
        count
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_token_is_good_until_its_end_and_no_longer() {
        let (mut tokens, mut chance) = (Tokens::default(), StdRng::seed_from_u64(1));
        let start = Timestamp::UNIX_EPOCH;
        let token = tokens.issue(start, 10, &mut chance);
        let end = plus_millis(start, 10_000);
        assert_eq!(tokens.worth(&token, plus_millis(end, -1)), Worth::Good);
        assert_eq!(tokens.worth(&token, end), Worth::Expired(end));
        assert_eq!(tokens.worth("made up", start), Worth::Unknown);
        assert_ne!(tokens.issue(start, 10, &mut chance), token);
        assert_eq!(tokens.revoke_all(), 2);
        assert_eq!(tokens.worth(&token, start), Worth::Unknown);
    }
}
