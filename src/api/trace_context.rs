//! The trace of a request, from its header `traceparent`.

use axum::http::{HeaderMap, HeaderName};

use crate::domain::trace_context::TraceContext;

const HEADER: HeaderName = HeaderName::from_static("traceparent");

/// Parses the header; a malformed or repeated one counts as none.
pub(super) fn of(headers: &HeaderMap) -> Option<TraceContext<'_>> {
    let mut values = headers.get_all(&HEADER).iter();
    let text = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    TraceContext::parse(text)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_header_that_stands_twice_tells_nothing() {
        let value = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let mut headers = HeaderMap::new();
        assert_eq!(of(&headers), None);
        headers.append(HEADER, value.clone());
        assert!(of(&headers).is_some());
        headers.append(HEADER, value);
        assert_eq!(of(&headers), None);
    }
}
