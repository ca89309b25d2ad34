//! Links that sign in without a key being typed: each once, within a quarter of an hour, and for one key. They are made by the
//! command that prints them (`dev`) and known to its process alone; a service that makes none takes none.
//!
//! Invariant: what is kept of a link can't be used as one.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// So long a link can be used.
const LASTS: SignedDuration = SignedDuration::from_mins(15);
/// More links than these are not kept: the oldest goes.
const MOST: usize = 16;

/// The links that are out; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Invitations(Arc<Mutex<Vec<Invitation>>>);

#[derive(Debug)]
struct Invitation {
    digest: Vec<u8>,
    key_id: Uuid,
    ends: Timestamp,
}

impl Invitations {
    /// The path of a new link, from bytes that nobody can guess.
    pub fn invite(&self, random: [u8; 32], key_id: Uuid, now: Timestamp) -> String {
        let token = BASE64.encode(random);
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if out.len() >= MOST {
            out.remove(0);
        }
        let ends = now.saturating_add(LASTS).unwrap_or(Timestamp::MAX);
        out.push(Invitation { digest: digested(&token), key_id, ends });
        format!("/admin/sign-in?invitation={token}")
    }

    /// Whose link it is that somebody follows; it can't be followed again.
    pub(super) fn take(&self, token: &str, now: Timestamp) -> Option<Uuid> {
        let digest = digested(token);
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.retain(|invitation| now < invitation.ends);
        let place = out.iter().position(|invitation| invitation.digest == digest)?;
        Some(out.remove(place).key_id)
    }
}

fn digested(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_signs_in_once_and_for_a_quarter_of_an_hour() {
        let (invitations, key) = (Invitations::default(), Uuid::from_u128(7));
        let at = |minutes: i64| Timestamp::from_second(minutes * 60).unwrap();
        let token = |number: u8| {
            let path = invitations.invite([number; 32], key, at(0));
            path.strip_prefix("/admin/sign-in?invitation=").unwrap().to_owned()
        };
        let (first, second) = (token(1), token(2));
        assert_eq!(invitations.take("", at(1)), None);
        assert_eq!(invitations.take(&first, at(1)), Some(key));
        assert_eq!(invitations.take(&first, at(1)), None, "once");
        assert_eq!(invitations.take(&second, at(15)), None, "too late");
        let oldest = token(3);
        for number in 4..=3 + u8::try_from(MOST).unwrap() {
            token(number);
        }
        assert_eq!(invitations.take(&oldest, at(1)), None, "no more are kept");
        let last = token(99);
        let kept = format!("{invitations:?}");
        assert!(!kept.contains(&last), "{kept}");
    }
}
