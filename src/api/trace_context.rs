//! Which trace a request belongs to, as the caller tells in `traceparent` (W3C Trace Context, level 1).

use axum::http::{HeaderMap, HeaderName};

const HEADER: HeaderName = HeaderName::from_static("traceparent");

/// What a request is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TraceContext<'a> {
    /// The trace: 32 hexadecimal digits.
    pub(super) trace_id: &'a str,
    /// The caller's part of it: 16 hexadecimal digits.
    pub(super) parent_id: &'a str,
}

/// Reads the header; one that is malformed, or stands twice, is as good as none.
pub(super) fn of(headers: &HeaderMap) -> Option<TraceContext<'_>> {
    let mut values = headers.get_all(&HEADER).iter();
    let text = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    parse(text)
}

/// Later versions may say more behind the four fields that are known, and nothing else may differ (3.2.4).
fn parse(text: &str) -> Option<TraceContext<'_>> {
    let mut fields = text.splitn(5, '-');
    let version = hex(fields.next()?, 2)?;
    let trace_id = hex(fields.next()?, 32)?;
    let parent_id = hex(fields.next()?, 16)?;
    hex(fields.next()?, 2)?;
    let has_more = fields.next().is_some();
    let is_valid = version != "ff"
        && !(version == "00" && has_more)
        && [trace_id, parent_id].iter().all(|id| id.bytes().any(|digit| digit != b'0'));
    is_valid.then_some(TraceContext { trace_id, parent_id })
}

fn hex(text: &str, length: usize) -> Option<&str> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == length && is_hex).then_some(text)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn what_the_recommendation_calls_valid_is_read() {
        for (version, rest) in [
            ("00", "-01"),
            ("00", "-00"),
            ("00", "-ff"),
            ("01", "-01"),
            ("cc", "-01-what-the-future-brings"),
            ("01", "-01-"),
        ] {
            let text = format!("{version}-{TRACE}-{PARENT}{rest}");
            assert_eq!(parse(&text), Some(TraceContext { trace_id: TRACE, parent_id: PARENT }), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_none() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("01-{TRACE}-{PARENT}-01.more"),
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{}-{PARENT}-01", &TRACE[1..]),
            format!("00-{TRACE}-{PARENT}0-01"),
            format!("00-{TRACE}-{PARENT}-0g"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01 "),
            format!("00_{TRACE}_{PARENT}_01"),
        ] {
            assert_eq!(parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn a_header_that_stands_twice_tells_nothing() {
        let value = HeaderValue::from_str(&format!("00-{TRACE}-{PARENT}-01")).unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(of(&headers), None);
        headers.append(HEADER, value.clone());
        assert!(of(&headers).is_some());
        headers.append(HEADER, value);
        assert_eq!(of(&headers), None);
    }
}
