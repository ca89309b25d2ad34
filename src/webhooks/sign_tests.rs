//! Signatures of both kinds beside examples that others made, and what is no secret.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::*;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const PAYLOAD: &str = r#"{"test": 2432232314}"#;

fn at() -> Timestamp {
    Timestamp::from_second(1_614_265_330).unwrap()
}

#[test]
fn a_signature_is_the_one_of_the_specification() {
    // The example in the specification and in the tests of its libraries.
    let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    assert_eq!(secret.sign(ID, at(), PAYLOAD), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(secret.public_key(), None);
}

#[test]
fn a_private_key_signs_what_its_public_key_verifies_and_no_other_does() {
    let secret = SigningSecret::parse(&new_private_key([7; 32])).unwrap();
    let signature = secret.sign(ID, at(), PAYLOAD);
    let signature = BASE64_STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
    let signed = format!("{ID}.1614265330.{PAYLOAD}");
    let verifies = |secret: &SigningSecret, signed: &str| {
        let key = secret.public_key().unwrap();
        let key = BASE64_STANDARD.decode(key.strip_prefix("whpk_").unwrap()).unwrap();
        UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature).is_ok()
    };
    assert!(verifies(&secret, &signed));
    assert!(!verifies(&secret, &signed.replace("2432232314", "2432232315")));
    let other = SigningSecret::parse(&new_private_key([8; 32])).unwrap();
    assert!(!verifies(&other, &signed));
}

#[test]
fn a_key_pair_is_the_one_of_its_rfc() {
    // RFC 8032, 7.1, TEST 1: the seed, and the public key that belongs to it.
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let bytes: [u8; 32] = hex::decode(seed).unwrap().try_into().unwrap();
    let text = new_private_key(bytes);
    let whole = BASE64_STANDARD.encode(hex::decode(format!("{seed}{public}")).unwrap());
    assert_eq!(text, format!("whsk_{whole}"));
    let told = SigningSecret::parse(&text).unwrap().public_key().unwrap();
    assert_eq!(told, format!("whpk_{}", BASE64_STANDARD.encode(hex::decode(public).unwrap())));
}

#[test]
fn a_new_secret_can_be_read_again_and_is_exposed_as_it_was() {
    for text in [new_secret([7; 32]), new_private_key([7; 32])] {
        assert_eq!(SigningSecret::parse(&text).unwrap().expose(), text);
    }
}

#[test]
fn what_is_no_secret_is_refused_with_its_reason() {
    let of = |prefix: &str, bytes: &[u8]| format!("{prefix}{}", BASE64_STANDARD.encode(bytes));
    let shared = |bytes: usize| of(SHARED, &vec![1; bytes]);
    let pair = BASE64_STANDARD.decode(&new_private_key([7; 32])[5..]).unwrap();
    let mut swapped = pair.clone();
    swapped[40] ^= 1;
    let cases = [
        (String::new(), Err(SecretError::Prefix)),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(), Err(SecretError::Prefix)),
        ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(), Err(SecretError::Prefix)),
        ("whsec_".into(), Err(SecretError::Length(0))),
        ("whsec_not base64!".into(), Err(SecretError::Base64("whsec_"))),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n".into(), Err(SecretError::Base64("whsec_"))),
        (shared(23), Err(SecretError::Length(23))),
        (shared(24), Ok(())),
        (shared(64), Ok(())),
        (shared(65), Err(SecretError::Length(65))),
        (of(PUBLIC, &pair[32..]), Err(SecretError::Prefix)),
        ("whsk_".into(), Err(SecretError::KeyPair)),
        ("whsk_not base64!".into(), Err(SecretError::Base64("whsk_"))),
        (of(PRIVATE, &pair[..31]), Err(SecretError::KeyPair)),
        (of(PRIVATE, &pair[..32]), Err(SecretError::KeyPair)),
        (of(PRIVATE, &pair), Ok(())),
        (of(PRIVATE, &[pair.as_slice(), &[0]].concat()), Err(SecretError::KeyPair)),
        (of(PRIVATE, &swapped), Err(SecretError::KeyPair)),
    ];
    for (text, expected) in cases {
        assert_eq!(SigningSecret::parse(&text).map(drop), expected, "{text:?}");
    }
}

#[test]
fn a_secret_is_not_debugged() {
    for text in [new_secret([7; 32]), new_private_key([7; 32])] {
        assert_eq!(format!("{:?}", SigningSecret::parse(&text).unwrap()), "SigningSecret([REDACTED])");
    }
}
