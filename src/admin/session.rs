//! Sessions: a cookie that names a key and is signed by this service, so that nothing has to be stored and every process
//! knows it. It holds no key: whose it is, and whether it is still in force, is looked up at every request.

use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::Random;
use crate::api::Problem;
use crate::store::Store;
use crate::store::secrets::SESSION_SECRET;

/// So long a session lasts, in seconds.
pub(super) const LASTS: i64 = 12 * 60 * 60;

const COOKIE: &str = "purge_session";
/// A key's id, the end of the session in seconds, and bytes by chance.
const LENGTH: usize = 16 + 8 + 16;
/// Of a signature.
const SIGNATURE: usize = 32;

/// Signs sessions; all clones are one.
#[derive(Clone)]
pub(super) struct Sessions {
    key: Arc<OnceCell<hmac::Key>>,
    random: Random,
}

/// One that somebody has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) key_id: Uuid,
    /// What forms of this session carry, so that no other site can have one sent.
    pub(super) token: String,
}

impl Sessions {
    pub(super) fn new(random: Random) -> Self {
        Self { key: Arc::default(), random }
    }

    /// What signs: made by whichever process comes first, and kept in the database.
    async fn key(&self, store: &Store) -> Result<&hmac::Key, Problem> {
        let made = self.key.get_or_try_init(async || {
            let fresh = BASE64.encode((self.random)());
            let kept = store.keep_secret(SESSION_SECRET, &fresh).await?;
            Ok::<_, Problem>(hmac::Key::new(hmac::HMAC_SHA256, kept.as_bytes()))
        });
        made.await
    }

    /// The cookie of a new session.
    pub(super) async fn begin(&self, store: &Store, key_id: Uuid, now: Timestamp) -> Result<String, Problem> {
        let mut told = Vec::with_capacity(LENGTH + SIGNATURE);
        told.extend_from_slice(key_id.as_bytes());
        told.extend_from_slice(&now.as_second().saturating_add(LASTS).to_be_bytes());
        told.extend_from_slice(&(self.random)()[..16]);
        let signature = hmac::sign(self.key(store).await?, &told);
        told.extend_from_slice(signature.as_ref());
        Ok(BASE64.encode(told))
    }

    /// The session of a request, if it has one that this service has begun and that has not ended.
    pub(super) async fn of(
        &self,
        store: &Store,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Option<Session>, Problem> {
        let Some(bytes) = cookie(headers).and_then(|cookie| BASE64.decode(cookie).ok()) else {
            return Ok(None);
        };
        Ok(read(self.key(store).await?, &bytes, now))
    }
}

fn read(key: &hmac::Key, bytes: &[u8], now: Timestamp) -> Option<Session> {
    let (told, signature) = bytes.split_at_checked(LENGTH)?;
    hmac::verify(key, told, signature).ok()?;
    let (id, rest) = told.split_first_chunk::<16>()?;
    let (ends, _) = rest.split_first_chunk::<8>()?;
    if i64::from_be_bytes(*ends) <= now.as_second() {
        return None;
    }
    let token = hmac::sign(key, &[b"form:", told].concat());
    Some(Session { key_id: Uuid::from_bytes(*id), token: BASE64.encode(token) })
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let mut pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs.find_map(|pairs| {
        let mut pairs = pairs.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
    })
}

/// The header that gives a browser its session, or takes it away.
pub(super) fn set_cookie(value: Option<&str>, asked: &HeaderMap) -> Option<HeaderValue> {
    let (value, age) = value.map_or(("", 0), |value| (value, LASTS));
    let secure = if is_loopback_in_clear(asked) { "" } else { "; Secure" };
    let text = format!("{COOKIE}={value}; Path=/admin; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).ok()
}

/// A browser on this machine asks without TLS: the one way on which a session may travel in clear.
fn is_loopback_in_clear(asked: &HeaderMap) -> bool {
    let text = |name: &str| asked.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text("x-forwarded-proto").eq_ignore_ascii_case("https") {
        return false;
    }
    let host = text("host");
    let host = host
        .rsplit_once(':')
        .map_or(host, |(host, port)| if port.ends_with(']') { text("host") } else { host });
    matches!(host, "localhost" | "[::1]") || (host.starts_with("127.") && host.split('.').count() == 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, b"a secret of the test")
    }

    fn begun(ends: i64) -> Vec<u8> {
        let mut told = vec![7; 16];
        told.extend_from_slice(&ends.to_be_bytes());
        told.extend_from_slice(&[9; 16]);
        let signature = hmac::sign(&key(), &told);
        told.extend_from_slice(signature.as_ref());
        told
    }

    #[test]
    fn a_session_is_good_until_its_end_and_only_as_it_was_signed() {
        let now = Timestamp::from_second(1000).unwrap();
        let session = read(&key(), &begun(1001), now).unwrap();
        assert_eq!(session.key_id, Uuid::from_bytes([7; 16]));
        assert_eq!(read(&key(), &begun(1000), now), None, "it has ended");
        let bytes = begun(1001);
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(read(&key(), &changed, now), None, "{place}");
            assert_eq!(read(&key(), &bytes[..place], now), None, "{place}");
        }
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"another");
        assert_eq!(read(&other, &bytes, now), None);
    }

    #[test]
    fn only_a_browser_on_this_machine_is_given_a_cookie_that_may_travel_in_clear() {
        let table = [
            ("localhost:8080", "", false),
            ("127.0.0.1:8080", "", false),
            ("127.0.0.1", "", false),
            ("[::1]:8080", "", false),
            ("[::1]", "", false),
            ("localhost:8080", "https", true),
            ("purge.example.com", "", true),
            ("127.0.0.1.example.com", "", true),
            ("127.example", "", true),
            ("", "", true),
        ];
        for (host, proto, is_secure) in table {
            let mut asked = HeaderMap::new();
            asked.insert("host", HeaderValue::from_static(host));
            asked.insert("x-forwarded-proto", HeaderValue::from_static(proto));
            let set = set_cookie(Some("x"), &asked).unwrap();
            assert_eq!(set.to_str().unwrap().ends_with("; Secure"), is_secure, "{host} {proto}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=b; c"));
        headers.append("cookie", HeaderValue::from_static("d=e; purge_session=yes; f=g"));
        assert_eq!(cookie(&headers), Some("yes"));
        assert_eq!(cookie(&HeaderMap::new()), None);
    }
}
