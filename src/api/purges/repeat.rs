//! The `Idempotency-Key` header: its format, and what makes two requests the same.

use axum::http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::api::problem::Problem;
use crate::intake::Spooled;
use crate::store::purges::accept::NewPurge;
use crate::store::purges::repeat::RepeatKey;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Tells that an answer is that of an earlier request.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

const LONGEST: usize = 255;

/// The caller's key for this request, if it has one.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut sent = headers.get_all(HEADER).iter();
    let Some(key) = sent.next() else { return Ok(None) };
    let is_fit =
        |key: &&str| (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    match key.to_str().ok().filter(is_fit) {
        Some(key) if sent.next().is_none() => Ok(Some(key.to_owned())),
        _ => {
            let detail = format!(
                "send one Idempotency-Key of 1 to {LONGEST} printable ASCII characters without spaces"
            );
            Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", detail))
        }
    }
}

/// Everything that was asked for but the ids, in one order whatever the order of the request was.
#[derive(Serialize)]
struct Wish<'a> {
    org: &'a str,
    reason: Option<&'a str>,
    reference: Option<&'a str>,
    labels: &'a serde_json::Value,
    is_dry_run: bool,
    expected_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<&'a str>,
}

/// Binds an idempotency key to the caller's API key and to the contents of the request. The format of the ids does not
/// count, their order does.
pub(super) fn bind(key: String, new: &NewPurge, expected_count: Option<u64>, spooled: &Spooled) -> RepeatKey {
    let wish = Wish {
        org: &new.org,
        reason: new.reason.as_deref(),
        reference: new.reference.as_deref(),
        labels: &new.labels,
        is_dry_run: new.is_dry_run,
        expected_count,
        webhook_url: new.webhook.as_ref().map(|webhook| webhook.url.as_str()),
    };
    let mut hasher = Sha256::new();
    hasher.update(spooled.digest());
    // Plain texts, numbers and an object whose values are texts can always be written.
    hasher.update(serde_json::to_vec(&wish).unwrap_or_default());
    RepeatKey { caller: new.key_id, key, fingerprint: hasher.finalize().into() }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::endpoints::create::OfPurge;

    fn headers(keys: &[&[u8]]) -> HeaderMap {
        keys.iter().map(|key| (HEADER, axum::http::HeaderValue::from_bytes(key).unwrap())).collect()
    }

    #[test]
    fn a_key_is_one_short_printable_word() {
        assert_eq!(key(&headers(&[])), Ok(None));
        assert_eq!(key(&headers(&[b"8e03978e-40d5"])), Ok(Some("8e03978e-40d5".to_owned())));
        assert_eq!(key(&headers(&[&[b'k'; 255]])).unwrap().map(|key| key.len()), Some(255));
        for bad in
            [&[b"".as_slice()][..], &[&[b'k'; 256]], &[b"a b"], &[b"a\tb"], &[b"\xc3\xa9"], &[b"a", b"a"]]
        {
            assert_eq!(key(&headers(bad)).unwrap_err().code, "invalid_idempotency_key", "{bad:?}");
        }
    }

    #[test]
    fn everything_that_is_asked_for_makes_a_difference() {
        let ids = [1, 2, 3].map(Uuid::from_u128);
        let new = NewPurge {
            org: "default".to_owned(),
            reason: Some("r".to_owned()),
            reference: None,
            labels: serde_json::json!({ "a": "1", "b": "2" }),
            is_dry_run: false,
            webhook: None,
            key_id: Uuid::nil(),
            requested_by: "somebody".to_owned(),
            request_id: "one".to_owned(),
            traceparent: None,
        };
        let print = |new: &NewPurge, expected, ids: &[Uuid]| {
            let spooled = Spooled::from_list(ids.to_vec());
            bind("k".to_owned(), new, expected, &spooled).fingerprint
        };
        let first = print(&new, None, &ids);
        let webhook = |url: &str| OfPurge {
            id: Uuid::nil(),
            url: url.to_owned(),
            secret: "made anew each time".into(),
        };
        let again = NewPurge { request_id: "two".to_owned(), ..new.clone() };
        assert_eq!(print(&again, None, &ids), first);
        let others = [
            NewPurge { org: "eu".to_owned(), ..new.clone() },
            NewPurge { reason: None, reference: Some("r".to_owned()), ..new.clone() },
            NewPurge { labels: serde_json::json!({ "a": "1", "b": "3" }), ..new.clone() },
            NewPurge { is_dry_run: true, ..new.clone() },
            NewPurge { webhook: Some(webhook("https://a.example/1")), ..new.clone() },
            NewPurge { webhook: Some(webhook("https://a.example/2")), ..new.clone() },
        ];
        for other in others {
            assert_ne!(print(&other, None, &ids), first, "{other:?}");
        }
        assert_ne!(print(&new, Some(3), &ids), first);
        assert_ne!(print(&new, None, &ids[..2]), first);
        assert_ne!(print(&new, None, &[ids[1], ids[0], ids[2]]), first);
        assert_ne!(print(&new, None, &[ids[0], ids[1], ids[2], ids[2]]), first);
    }
}
