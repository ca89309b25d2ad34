//! What is verified, and each reason for which something is not.

use reqwest::header::{HeaderName, HeaderValue};
use standardwebhooks::Webhook;

use super::*;
use crate::webhooks::{new_private_key, new_secret};

const BODY: &str = r#"{"event":"purge_completed"}"#;
const SECONDS: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(SECONDS + seconds).unwrap()
}

fn verifier(texts: &[&str]) -> Verifier {
    let mut verifier = Verifier::default();
    for text in texts {
        verifier.add(text).unwrap();
    }
    verifier
}

fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn with(signature: &str) -> HeaderMap {
    let time = SECONDS.to_string();
    headers(&[("webhook-id", "0190"), ("webhook-timestamp", &time), ("webhook-signature", signature)])
}

fn signature(secret: &str) -> String {
    SigningSecret::parse(secret).unwrap().sign("0190", at(0), BODY)
}

fn verify(secret: &str, headers: &HeaderMap) -> Result<Verified, Refusal> {
    verifier(&[secret]).verify(headers, BODY.as_bytes(), at(3))
}

#[test]
fn what_we_sign_is_verified_by_either_kind_of_secret() {
    let (shared, private) = (new_secret([7; 32]), new_private_key([7; 32]));
    let public = SigningSecret::parse(&private).unwrap().public_key().unwrap();
    let ours = || Ok(Verified { id: "0190".to_owned(), age: 3 });
    for (signer, checker) in [(&shared, &shared), (&private, &private), (&private, &public)] {
        assert_eq!(verify(checker, &with(&signature(signer))), ours());
    }
    // The library of the specification agrees.
    let theirs = Webhook::new(&shared).unwrap().sign("0190", SECONDS, BODY.as_bytes()).unwrap();
    assert_eq!(verify(&shared, &with(&theirs)), ours());
    // One of several is enough, on both sides.
    let other = new_secret([8; 32]);
    let both = format!("{} {} v2,abc", signature(&other), signature(&shared));
    for checkers in [[shared.as_str(), &public], [public.as_str(), &shared], [other.as_str(), &other]] {
        assert_eq!(verifier(&checkers).verify(&with(&both), BODY.as_bytes(), at(3)), ours());
    }
}

#[test]
fn another_body_id_time_or_secret_is_forged() {
    for secret in [new_secret([7; 32]), new_private_key([7; 32])] {
        let good = signature(&secret);
        let time = SECONDS.to_string();
        let later = (SECONDS + 1).to_string();
        let other = if secret.starts_with("whsk_") { new_private_key([8; 32]) } else { new_secret([8; 32]) };
        let verifier = verifier(&[&secret]);
        for (id, time, signature, body) in [
            ("0190", &time, &good, "{}"),
            ("0190", &time, &good, &BODY.replace(':', ": ")),
            ("0191", &time, &good, BODY),
            ("0190", &later, &good, BODY),
            ("0190", &time, &signature(&other), BODY),
            ("0190", &time, &good.replace(',', ",AAAA"), BODY),
        ] {
            let headers =
                headers(&[("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)]);
            let refused = verifier.verify(&headers, body.as_bytes(), at(0)).unwrap_err();
            assert_eq!(refused, Refusal::Forged, "{id} {time} {signature} {body}");
            assert!(refused.is_untrusted());
        }
    }
    assert_eq!(Verifier::default().verify(&with("v1,AAAA"), b"", at(0)), Err(Refusal::Forged));
}

#[test]
fn five_minutes_are_the_limit_in_both_directions() {
    let secret = new_secret([7; 32]);
    let headers = with(&signature(&secret));
    for (seconds, expected) in [
        (-301, Err(Refusal::Early(301))),
        (-300, Ok(-300)),
        (0, Ok(0)),
        (300, Ok(300)),
        (301, Err(Refusal::Stale(301))),
        (86_400, Err(Refusal::Stale(86_400))),
    ] {
        let verified = verifier(&[&secret]).verify(&headers, BODY.as_bytes(), at(seconds));
        assert_eq!(verified.map(|verified| verified.age), expected, "{seconds}");
    }
}

#[test]
fn what_is_missing_or_cut_is_said() {
    use Refusal::{Empty, Missing, NotATime, NotBase64, NotText, OtherKind, Repeated, Truncated};
    const NAMES: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let (shared, private) = (new_secret([7; 32]), new_private_key([7; 32]));
    let (good, time) = (signature(&shared), SECONDS.to_string());
    let values = ["0190", &time, &good];
    let all = [0, 1, 2].map(|at| (NAMES[at], values[at]));
    for (at, name) in NAMES.into_iter().enumerate() {
        let mut without = all.to_vec();
        without.remove(at);
        assert_eq!(verify(&shared, &headers(&without)), Err(Missing(name)));
        let mut changed = all;
        changed[at].1 = "";
        assert_eq!(verify(&shared, &headers(&changed)), Err(Empty(name)));
        changed[at].1 = "é";
        assert_eq!(verify(&shared, &headers(&changed)), Err(NotText(name)));
        let twice = [all.as_slice(), &[all[at]]].concat();
        assert_eq!(verify(&shared, &headers(&twice)), Err(Repeated(name)));
    }
    for time in ["soon", "1.8e9", "2027-01-15T08:00:00Z", "99999999999999999999"] {
        let headers = headers(&[all[0], ("webhook-timestamp", time), all[2]]);
        assert_eq!(verify(&shared, &headers), Err(NotATime), "{time}");
    }
    let cut = Refusal::Truncated { actual: 30, expected: 32 };
    for (secret, signature, expected) in [
        (&shared, "v1", OtherKind("v1")),
        (&shared, "hunter2", OtherKind("v1")),
        (&shared, &signature(&private), OtherKind("v1")),
        (&private, &good, OtherKind("v1a")),
        (&shared, "v1,", Truncated { actual: 0, expected: 32 }),
        (&shared, &good[..good.len() - 4], cut),
        (&shared, &good[..good.len() - 2], Truncated { actual: 31, expected: 32 }),
        (&private, &signature(&private)[..40], Truncated { actual: 27, expected: 64 }),
        (&shared, &good.replace("v1,", "v1,!"), NotBase64),
    ] {
        let refused = verify(secret, &with(signature)).unwrap_err();
        assert_eq!(refused, expected, "{signature}");
        assert!(!refused.is_untrusted());
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let mut verifier = Verifier::default();
    for (text, expected) in [
        ("", SecretError::Prefix),
        ("hunter2", SecretError::Prefix),
        ("whsec_AAAA", SecretError::Length(3)),
        ("whsk_AAAA", SecretError::KeyPair),
        ("whpk_AAAA", SecretError::PublicKey),
        ("whpk_!", SecretError::Base64("whpk_")),
    ] {
        assert_eq!(verifier.add(text), Err(expected), "{text}");
    }
    assert!(
        !format!("{:?}", {
            verifier.add(&new_secret([7; 32])).unwrap();
            verifier
        })
        .contains("BwcH")
    );
}
