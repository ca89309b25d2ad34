//! Removes our own secrets from answers of others before anything of them is stored.
//!
//! Gateways, logins and receivers may echo their request, whole or truncated, plain or encoded as in a header.
//!
//! Invariant: a secret is never shown, nor any long part of it.

use std::collections::HashSet;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};

/// A piece of a secret that is so long is struck out, too: an echo may be cut.
const PIECE: usize = 16;
/// Text is looked at so far, and what follows is dropped: no more of it is ever kept.
const LONGEST_TEXT: usize = 8 * 1024;

const STRUCK: &str = "[REDACTED]";

/// Secrets in every form in which they may come back.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    /// The secret of an OAuth client, and what HTTP Basic makes of it.
    pub fn of_client(id: &str, secret: &str) -> Self {
        let mut secrets = Self::default();
        secrets.add_client(id, secret);
        secrets
    }

    /// These and the same.
    pub fn add_client(&mut self, id: &str, secret: &str) {
        self.add(secret);
        self.add_coded(&format!("{id}:{secret}"));
    }

    /// These and a token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        let mut secrets = self.clone();
        secrets.add(token);
        secrets
    }

    /// These and one more.
    pub fn add(&mut self, secret: &str) {
        self.0.push(SecretString::from(secret));
        let escaped: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        if escaped != secret {
            self.0.push(SecretString::from(escaped));
        }
        self.add_coded(secret);
    }

    /// Without their padding both forms of base64 also stand in what has it.
    fn add_coded(&mut self, secret: &str) {
        let (coded, url_safe) =
            (BASE64_STANDARD_NO_PAD.encode(secret), BASE64_URL_SAFE_NO_PAD.encode(secret));
        if coded != url_safe {
            self.0.push(SecretString::from(url_safe));
        }
        self.0.push(SecretString::from(coded));
    }

    /// The text without them.
    pub fn strike(&self, text: &str) -> String {
        let text = &text[..text.floor_char_boundary(LONGEST_TEXT)];
        let mut is_secret = vec![false; text.len()];
        for secret in &self.0 {
            let secret = secret.expose_secret().as_bytes();
            let length = secret.len().min(PIECE);
            if length == 0 {
                continue;
            }
            let pieces: HashSet<&[u8]> = secret.windows(length).collect();
            for (at, piece) in text.as_bytes().windows(length).enumerate() {
                if pieces.contains(piece) {
                    is_secret[at..at + length].fill(true);
                }
            }
        }
        let (mut kept, mut was_secret) = (String::with_capacity(text.len()), false);
        for (at, c) in text.char_indices() {
            let is_secret = is_secret[at..at + c.len_utf8()].contains(&true);
            match (is_secret, was_secret) {
                (false, _) => kept.push(c),
                (true, false) => kept.push_str(STRUCK),
                (true, true) => {}
            }
            was_secret = is_secret;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    use super::*;

    const SECRET: &str = "s3cret/with?odd=characters and more";
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJlLW9mLW91cnM";

    fn strike(text: &str) -> String {
        Secrets::of_client("our-client", SECRET).with_token(TOKEN).strike(text)
    }

    #[test]
    fn every_form_of_a_secret_is_struck_out() {
        let basic = format!("our-client:{SECRET}");
        let escaped: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        for echo in [
            SECRET.to_owned(),
            escaped,
            BASE64_STANDARD.encode(SECRET),
            BASE64_STANDARD.encode(&basic),
            BASE64_URL_SAFE.encode(&basic),
            BASE64_STANDARD_NO_PAD.encode(&basic),
            TOKEN.to_owned(),
            BASE64_STANDARD.encode(TOKEN),
        ] {
            let struck = strike(&format!("you sent {echo}, twice: {echo}"));
            let kept = struck.replace('=', "");
            assert_eq!(kept, "you sent [REDACTED], twice: [REDACTED]", "{echo}");
        }
        assert_eq!(strike(&format!("{SECRET}{TOKEN}")), "[REDACTED]");
    }

    #[test]
    fn a_long_piece_of_a_secret_is_struck_out_as_well() {
        for piece in [&TOKEN[..20], &TOKEN[7..30], &TOKEN[TOKEN.len() - PIECE..]] {
            assert_eq!(strike(&format!("token <{piece}>")), "token <[REDACTED]>");
        }
        assert_eq!(strike(&TOKEN[..PIECE - 1]), TOKEN[..PIECE - 1], "so much is told of it");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in ["", "our-client", "Bad credentials: é", "s3cret"] {
            assert_eq!(strike(text), text);
        }
        assert_eq!(Secrets::default().strike("any"), "any");
        assert_eq!(Secrets::of_client("", "").strike("any"), "any");
        let secrets = Secrets::of_client("me", "größe");
        assert_eq!(secrets.strike("die größe!"), "die [REDACTED]!");
        assert_eq!(strike(&"é".repeat(LONGEST_TEXT)).chars().count(), LONGEST_TEXT / 2);
    }
}
