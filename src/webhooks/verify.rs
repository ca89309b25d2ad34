//! Verifies what we send, as a receiver has to (Standard Webhooks, "Verifying signatures"), and says what is wrong.
//!
//! Invariant: no payload is parsed before its signature was verified.

use std::fmt;

use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::{hmac, signature};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use reqwest::header::HeaderMap;

use super::sign::{Kind, PUBLIC, SecretError, SigningSecret};

/// How old a signature may be, or how far ahead of our clock, in seconds: as in the libraries of the specification.
const TOLERANCE: i64 = 300;
const SHARED_VERSION: &str = "v1";
const PUBLIC_VERSION: &str = "v1a";
const PUBLIC_KEY_BYTES: usize = 32;

/// The secrets for verification. A receiver that rotates its secret knows two.
#[derive(Debug, Default)]
pub struct Verifier {
    keys: Vec<Key>,
}

enum Key {
    Shared(Box<hmac::Key>),
    Public(Vec<u8>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([REDACTED])")
    }
}

/// A payload of ours.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    /// The same over all attempts.
    pub id: String,
    /// How long ago it was signed, in seconds; negative if clocks differ.
    pub age: i64,
}

/// Why a payload is not taken for ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is empty")]
    Empty(&'static str),
    #[error("{0} is sent more than once")]
    Repeated(&'static str),
    #[error("{0} is not text")]
    NotText(&'static str),
    #[error("webhook-timestamp is not a whole number of seconds")]
    NotATime,
    #[error("webhook-signature has no signature of this kind of secret: expected one that begins with `{0}`")]
    OtherKind(&'static str),
    #[error("the signature is truncated: {actual} of {expected} bytes")]
    Truncated { actual: usize, expected: usize },
    #[error("the signature is not base64")]
    NotBase64,
    #[error("forged: another secret, id, time or body was signed")]
    Forged,
    #[error("stale: it was signed {0} s ago, and {TOLERANCE} s is the limit")]
    Stale(i64),
    #[error("it was signed {0} s ahead of the clock here, and {TOLERANCE} s is the limit")]
    Early(i64),
}

impl Refusal {
    /// Whether it could have been signed well, and was not: all others are no attempt at a signature.
    pub fn is_untrusted(&self) -> bool {
        matches!(self, Self::Forged | Self::Stale(_) | Self::Early(_))
    }
}

impl Verifier {
    /// Also accepts signatures of this secret: shared, private, or a receiver's public key.
    pub fn add(&mut self, text: &str) -> Result<(), SecretError> {
        let key = match text.strip_prefix(PUBLIC) {
            Some(encoded) => {
                let key = BASE64_STANDARD.decode(encoded).map_err(|_| SecretError::Base64(PUBLIC))?;
                if key.len() != PUBLIC_KEY_BYTES {
                    return Err(SecretError::PublicKey);
                }
                Key::Public(key)
            }
            None => match SigningSecret::parse(text)?.kind() {
                Kind::Shared(bytes) => Key::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes))),
                Kind::Private { pair, .. } => Key::Public(pair.public_key().as_ref().to_vec()),
            },
        };
        self.keys.push(key);
        Ok(())
    }

    /// It takes nothing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a request is ours, and from now.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Verified, Refusal> {
        let [id, timestamp, signatures] =
            ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| header(headers, name));
        let (id, timestamp, signatures) = (id?, timestamp?, signatures?);
        let signed_at: i64 = timestamp.parse().map_err(|_| Refusal::NotATime)?;
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();

        let mut refusal = None;
        for key in &self.keys {
            match key.check(signatures, &signed) {
                Ok(()) => {
                    let age = now.as_second().saturating_sub(signed_at);
                    return if age > TOLERANCE {
                        Err(Refusal::Stale(age))
                    } else if age < -TOLERANCE {
                        Err(Refusal::Early(age.saturating_neg()))
                    } else {
                        Ok(Verified { id: id.to_owned(), age })
                    };
                }
                Err(worse) => refusal = refusal.or(Some(worse)),
            }
        }
        Err(refusal.unwrap_or(Refusal::Forged))
    }
}

impl Key {
    /// Whether one of the signatures is by this key; if none is, what is wrong with the one that comes closest.
    fn check(&self, signatures: &str, signed: &[u8]) -> Result<(), Refusal> {
        let (version, expected) = match self {
            Self::Shared(_) => (SHARED_VERSION, 32),
            Self::Public(_) => (PUBLIC_VERSION, 64),
        };
        let mut closest = Refusal::OtherKind(version);
        for (found, encoded) in signatures.split(' ').filter_map(|one| one.split_once(',')) {
            if found != version {
                continue;
            }
            closest = match BASE64_STANDARD.decode(encoded) {
                Ok(tag) if self.made(signed, &tag) => return Ok(()),
                Ok(tag) if tag.len() >= expected => Refusal::Forged,
                Ok(tag) => Refusal::Truncated { actual: tag.len(), expected },
                // Cut in the middle of a group of four letters, base64 can't be read at all.
                Err(_) if encoded.len() < expected.div_ceil(3) * 4 => {
                    Refusal::Truncated { actual: encoded.len() * 3 / 4, expected }
                }
                Err(_) => Refusal::NotBase64,
            };
        }
        Err(closest)
    }

    fn made(&self, signed: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Shared(key) => hmac::verify(key, signed, tag).is_ok(),
            Self::Public(key) => {
                signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(signed, tag).is_ok()
            }
        }
    }
}

/// The one value of a header, as text.
fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Refusal::Missing(name))?;
    if values.next().is_some() {
        return Err(Refusal::Repeated(name));
    }
    match value.to_str() {
        Ok("") => Err(Refusal::Empty(name)),
        Ok(text) => Ok(text),
        Err(_) => Err(Refusal::NotText(name)),
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
