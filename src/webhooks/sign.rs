//! Secrets of webhook receivers, and signatures by them.
//!
//! Invariant: a secret is shown by nobody but whoever holds its text; it stands in no error and no debug output.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use standardwebhooks::Webhook;

/// What every secret begins with (Standard Webhooks, "Signature scheme").
const PREFIX: &str = "whsec_";
/// The lengths of a key that the specification allows, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A new secret, in the form that its receiver is told.
pub fn new_secret(random_bytes: [u8; 32]) -> String {
    format!("{PREFIX}{}", BASE64_STANDARD.encode(random_bytes))
}

/// Why a text is not the secret of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("a webhook secret begins with `whsec_`")]
    Prefix,
    /// The rest can't be decoded.
    #[error("what follows `whsec_` in a webhook secret must be base64 (with its padding)")]
    Base64,
    /// Too short to be safe, or longer than receivers have to accept.
    #[error("a webhook secret holds 24 to 64 bytes in base64, and this one holds {0}")]
    Length(usize),
}

/// A secret that can sign.
#[derive(Clone)]
pub struct SigningSecret {
    key: Vec<u8>,
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret([REDACTED])")
    }
}

impl SigningSecret {
    /// Reads a secret as an operator or [`new_secret`] wrote it.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        let key = BASE64_STANDARD.decode(encoded).map_err(|_| SecretError::Base64)?;
        if KEY_BYTES.contains(&key.len()) { Ok(Self { key }) } else { Err(SecretError::Length(key.len())) }
    }

    /// As its receiver was told it: what an answer must not give away.
    pub(super) fn expose(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.key))
    }

    /// The value of `webhook-signature` for a payload under this id and time.
    pub fn sign(&self, id: &str, timestamp: Timestamp, payload: &str) -> String {
        Webhook::from_bytes(self.key.clone())
            .and_then(|webhook| webhook.sign(id, timestamp.as_second(), payload.as_bytes()))
            .expect("any bytes are a key, and a `str` is the UTF-8 that is asked for")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        // The example in the specification and in the tests of its libraries.
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let timestamp = Timestamp::from_second(1_614_265_330).unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_new_secret_can_be_read_again() {
        let text = new_secret([7; 32]);
        assert!(text.starts_with("whsec_"));
        assert_eq!(SigningSecret::parse(&text).unwrap().key, [7; 32]);
    }

    #[test]
    fn what_is_no_secret_is_refused_with_its_reason() {
        let of = |bytes: usize| format!("whsec_{}", BASE64_STANDARD.encode(vec![1; bytes]));
        let cases = [
            (String::new(), Err(SecretError::Prefix)),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(), Err(SecretError::Prefix)),
            ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(), Err(SecretError::Prefix)),
            ("whsec_".into(), Err(SecretError::Length(0))),
            ("whsec_not base64!".into(), Err(SecretError::Base64)),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n".into(), Err(SecretError::Base64)),
            (of(23), Err(SecretError::Length(23))),
            (of(24), Ok(())),
            (of(64), Ok(())),
            (of(65), Err(SecretError::Length(65))),
        ];
        for (text, expected) in cases {
            assert_eq!(SigningSecret::parse(&text).map(drop), expected, "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_not_debugged() {
        let secret = SigningSecret::parse(&new_secret([7; 32])).unwrap();
        assert_eq!(format!("{secret:?}"), "SigningSecret([REDACTED])");
    }
}
