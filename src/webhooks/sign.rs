//! Secrets of webhook receivers, and signatures by them.
//!
//! The specification has two kinds. With `whsec_` both sides share one secret (HMAC-SHA256, `v1`). With `whsk_` we
//! have a key pair, and the receiver, who only gets `whpk_`, can verify but not forge (Ed25519, `v1a`).
//!
//! Invariant: a secret appears in no error and no debug output.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use standardwebhooks::Webhook;

/// What secrets begin with (Standard Webhooks, "Signature scheme").
const SHARED: &str = "whsec_";
const PRIVATE: &str = "whsk_";
pub(super) const PUBLIC: &str = "whpk_";
/// The lengths of a shared secret that the specification allows, in bytes.
const SHARED_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// A private key is the seed and the public key behind it, as libraries for Ed25519 keep it.
const SEED_BYTES: usize = 32;

/// A new shared secret.
pub fn new_secret(random_bytes: [u8; 32]) -> String {
    format!("{SHARED}{}", BASE64_STANDARD.encode(random_bytes))
}

/// A new private key; its receiver gets [`SigningSecret::public_key`].
pub fn new_private_key(random_bytes: [u8; 32]) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&random_bytes).expect("any 32 bytes are a seed");
    let bytes = [&random_bytes, pair.public_key().as_ref()].concat();
    format!("{PRIVATE}{}", BASE64_STANDARD.encode(bytes))
}

/// Why a text is not the secret of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("a webhook secret begins with `whsec_` or `whsk_`")]
    Prefix,
    /// The rest can't be decoded.
    #[error("what follows `{0}` in a webhook secret must be base64 (with its padding)")]
    Base64(&'static str),
    /// Too short to be safe, or longer than receivers have to accept.
    #[error("a webhook secret holds 24 to 64 bytes in base64, and this one holds {0}")]
    Length(usize),
    /// Not both halves, or halves of two keys.
    #[error(
        "what follows `whsk_` in a webhook secret must be an Ed25519 key pair: seed and public key, 64 bytes"
    )]
    KeyPair,
    #[error("what follows `whpk_` must be an Ed25519 public key: 32 bytes in base64")]
    PublicKey,
}

/// A secret that can sign.
#[derive(Clone)]
pub struct SigningSecret(Kind);

#[derive(Clone)]
pub(super) enum Kind {
    Shared(Vec<u8>),
    Private { pair: Ed25519KeyPair, text: String },
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret([REDACTED])")
    }
}

impl SigningSecret {
    /// Reads a secret as an operator, [`new_secret`] or [`new_private_key`] wrote it.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if let Some(encoded) = text.strip_prefix(SHARED) {
            let key = BASE64_STANDARD.decode(encoded).map_err(|_| SecretError::Base64(SHARED))?;
            let length = key.len();
            let is_lawful = SHARED_BYTES.contains(&length);
            return if is_lawful { Ok(Self(Kind::Shared(key))) } else { Err(SecretError::Length(length)) };
        }
        let encoded = text.strip_prefix(PRIVATE).ok_or(SecretError::Prefix)?;
        let key = BASE64_STANDARD.decode(encoded).map_err(|_| SecretError::Base64(PRIVATE))?;
        let (seed, public) = key.split_at_checked(SEED_BYTES).ok_or(SecretError::KeyPair)?;
        let pair =
            Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| SecretError::KeyPair)?;
        Ok(Self(Kind::Private { pair, text: text.to_owned() }))
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.0
    }

    /// The public key for the receiver; `None` for a shared secret.
    pub fn public_key(&self) -> Option<String> {
        match &self.0 {
            Kind::Shared(_) => None,
            Kind::Private { pair, .. } => {
                Some(format!("{PUBLIC}{}", BASE64_STANDARD.encode(pair.public_key())))
            }
        }
    }

    /// The text of the secret: answers must not contain it.
    pub(super) fn expose(&self) -> String {
        match &self.0 {
            Kind::Shared(key) => format!("{SHARED}{}", BASE64_STANDARD.encode(key)),
            Kind::Private { text, .. } => text.clone(),
        }
    }

    /// Its signature of a payload with this id and time, in the format of `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: Timestamp, payload: &str) -> String {
        match &self.0 {
            Kind::Shared(key) => Webhook::from_bytes(key.clone())
                .and_then(|webhook| webhook.sign(id, timestamp.as_second(), payload.as_bytes()))
                .expect("any bytes are a key, and a `str` is the UTF-8 that is asked for"),
            Kind::Private { pair, .. } => {
                let signed = format!("{id}.{}.{payload}", timestamp.as_second());
                format!("v1a,{}", BASE64_STANDARD.encode(pair.sign(signed.as_bytes())))
            }
        }
    }
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
