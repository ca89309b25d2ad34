//! Why a call got no connection, in plain words.

use url::Url;

/// Host and port of a call.
pub fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Why there is no connection to that place; `cause` is the last in a library's chain of causes.
pub fn unreached(place: &str, cause: &str) -> String {
    // What rustls says of an answer in plain HTTP.
    if cause.contains("InvalidContentType") {
        format!("{place} does not speak TLS")
    } else {
        format!("can't connect to {place}: {cause}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_a_port() {
        for (url, expected) in [
            ("https://login.example/x", "login.example:443"),
            ("http://a.example", "a.example:80"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(place(&url.parse().unwrap()), expected);
        }
    }

    #[test]
    fn a_cause_is_told_in_plain_words() {
        assert_eq!(
            unreached("a.example:443", "received corrupt message of type InvalidContentType"),
            "a.example:443 does not speak TLS"
        );
        assert_eq!(unreached("a:1", "Connection refused"), "can't connect to a:1: Connection refused");
    }
}
