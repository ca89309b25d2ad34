//! What a caller accepts, by its `Accept` and `Accept-Encoding` headers (RFC 9110, 12.5).
//!
//! Invariant: a request that can't be answered in an accepted form is refused before anything is done.

use axum::extract::{MatchedPath, Request};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;

/// The media types of nearly every call; refusals are always of the second.
pub(super) const JSON: &[&str] = &["application/json", "application/problem+json"];

/// The media types of the list of purges; `POST /purges` answers only JSON.
pub(super) const PURGES: &[&str] = &["application/json", "application/problem+json", "text/csv"];

/// The media types of the other calls. An empty list: the call checks by itself.
const OTHERS: &[(&str, &[&str])] = &[
    ("/openapi.yaml", &["application/yaml", "application/problem+json"]),
    ("/metrics", &["text/plain"]),
    ("/events", &[]),
    ("/purges/{id}/events", &[]),
    ("/purges/{id}/report", &[]),
    ("/docs", &[]),
    ("/admin", &[]),
];

/// Refuses a request whose answer the caller would not accept.
pub(super) async fn check(request: Request, next: Next) -> Response {
    match refusal(&request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

/// Why no answer would do.
pub(super) fn refusal(request: &Request) -> Option<Problem> {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)?;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads && path == "/purges" {
        return best(request.headers(), PURGES).is_none().then(|| not_acceptable(PURGES));
    }
    let other = OTHERS.iter().find(|(other, _)| {
        path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let offers = other.map_or(JSON, |(_, offers)| offers);
    (!offers.is_empty() && best(request.headers(), offers).is_none()).then(|| not_acceptable(offers))
}

/// The caller accepts none of these.
pub(super) fn not_acceptable(offers: &[&str]) -> Problem {
    let detail = format!("this call answers {}; the Accept header allows none of them", offers.join(", "));
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
}

/// The offer that the caller prefers, the first of several; none if it accepts no offer.
pub(super) fn best<'a>(headers: &HeaderMap, offers: &[&'a str]) -> Option<&'a str> {
    let ranges: Vec<Range> =
        elements(headers, &ACCEPT).iter().filter_map(|text| Range::parse(text)).collect();
    if ranges.is_empty() {
        return offers.first().copied();
    }
    let mut best: Option<(&str, u16)> = None;
    for offer in offers {
        let most_specific = ranges.iter().filter_map(|range| Some((range.fit(offer)?, range.weight))).max();
        let weight = most_specific.map_or(0, |(_, weight)| weight);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((offer, weight));
        }
    }
    best.map(|(offer, _)| offer)
}

/// Whether the answer may be gzip. Without the header: no.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = 0;
    for element in elements(headers, &ACCEPT_ENCODING) {
        let mut parts = element.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let Some(weight) = weight(parts) else { continue };
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return weight > 0;
        }
        if coding == "*" {
            any = weight;
        }
    }
    any > 0
}

/// The elements of a header that is a list, over all its lines.
fn elements(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let mut elements = Vec::new();
    for value in headers.get_all(name) {
        let Ok(text) = value.to_str() else { continue };
        let (mut element, mut is_quoted, mut is_escaped) = (String::new(), false, false);
        for letter in text.chars() {
            if letter == ',' && !is_quoted {
                elements.push(std::mem::take(&mut element));
                continue;
            }
            is_quoted ^= letter == '"' && !is_escaped;
            is_escaped = is_quoted && letter == '\\' && !is_escaped;
            element.push(letter);
        }
        elements.push(element);
    }
    elements.retain(|element| !element.trim().is_empty());
    elements
}

/// One range of media types that a caller takes.
#[derive(Debug)]
struct Range {
    kind: String,
    subkind: String,
    /// It asks for a variant of the type that we do not have.
    asks_for_more: bool,
    /// In thousandths.
    weight: u16,
}

impl Range {
    /// Parses a range; invalid ones are skipped.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subkind) = parts.next()?.split_once('/')?;
        let is_token = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        if !is_token(kind) || !is_token(subkind) || (kind == "*" && subkind != "*") {
            return None;
        }
        let parameters: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        let is_of_the_type = |part: &&&str| {
            let name = part.split('=').next().unwrap_or_default();
            !name.trim().eq_ignore_ascii_case("q")
        };
        // All that we send is UTF-8, and the only plain text is that of the metrics.
        let is_plain = kind.eq_ignore_ascii_case("text") && subkind.eq_ignore_ascii_case("plain");
        let is_ours = |part: &&str| {
            let part = part.replace('"', "");
            part.eq_ignore_ascii_case("charset=utf-8")
                || (is_plain && part.eq_ignore_ascii_case("version=0.0.4"))
        };
        Some(Self {
            kind: kind.to_ascii_lowercase(),
            subkind: subkind.to_ascii_lowercase(),
            asks_for_more: !parameters.iter().take_while(is_of_the_type).all(is_ours),
            weight: weight(parameters.into_iter())?,
        })
    }

    /// How closely it names the offer, if it does.
    fn fit(&self, offer: &str) -> Option<u8> {
        let (kind, subkind) = offer.split_once('/')?;
        match (self.kind.as_str(), self.subkind.as_str()) {
            _ if self.asks_for_more => None,
            ("*", _) => Some(0),
            (own, "*") if own == kind => Some(1),
            (own, own_subkind) if own == kind && own_subkind == subkind => Some(2),
            _ => None,
        }
    }
}

/// The weight among the parameters, in thousandths: 1 if none is given, `None` if it is invalid.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    let Some(text) = parameters.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    }) else {
        return Some(1000);
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = matches!(whole, "0" | "1")
        && fraction.len() <= 3
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{whole}{fraction:0<3}").parse().ok()?;
    (is_number && thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn the_closest_range_decides_and_the_highest_weight_wins() {
        const REPORT: &[&str] = &["text/csv", "application/x-ndjson"];
        let table: &[(&[&str], &[&str], Option<&str>)] = &[
            (&[], JSON, Some("application/json")),
            (&[""], JSON, Some("application/json")),
            (&["*/*"], JSON, Some("application/json")),
            (&["application/*"], JSON, Some("application/json")),
            (&["APPLICATION/JSON"], JSON, Some("application/json")),
            (&["application/problem+json"], JSON, Some("application/problem+json")),
            (&["text/html"], JSON, None),
            (&["text/html, */*;q=0.1"], JSON, Some("application/json")),
            (&["text/html", "application/json"], JSON, Some("application/json")),
            (&["application/xml;q=1, application/json;q=0"], JSON, None),
            (&["application/json;q=0, application/*"], JSON, Some("application/problem+json")),
            (&["*/*;q=0"], JSON, None),
            (&["application/*;q=0, */*"], JSON, None),
            (&["application/json; charset=UTF-8"], JSON, Some("application/json")),
            (&["application/json;charset=\"utf-8\""], JSON, Some("application/json")),
            (&["application/json;charset=latin1"], JSON, None),
            (&["application/json;version=2"], JSON, None),
            (&["application/json;version=0.0.4"], JSON, None),
            (&["text/plain;version=0.0.4"], &["text/plain"], Some("text/plain")),
            (&["text/plain;version=1.0.0"], &["text/plain"], None),
            (&["application/json;version=2, application/json;q=0.5"], JSON, Some("application/json")),
            (&["application/json;q=0.5;more=x"], JSON, Some("application/json")),
            (&["application/x-ndjson, text/csv;q=0.9"], REPORT, Some("application/x-ndjson")),
            (&["application/x-ndjson;q=0.8, text/csv;q=0.9"], REPORT, Some("text/csv")),
            (&["application/x-ndjson, text/csv"], REPORT, Some("text/csv")),
            (&["text/*;q=0.3, application/x-ndjson;q=0.2"], REPORT, Some("text/csv")),
            (&["application/json"], REPORT, None),
            // Invalid parts are skipped; if nothing is left, it counts as no header.
            (&["junk"], JSON, Some("application/json")),
            (&["junk, text/html"], JSON, None),
            (&["*/json"], JSON, Some("application/json")),
            (&["application/json;q=2, text/html"], JSON, None),
            (&["application/json;q=-1, application/json;q=0.0001"], JSON, Some("application/json")),
            (&["text/html;x=\"a,application/json\""], JSON, None),
            (&["a/b;x=\"\\\",\", application/json"], JSON, Some("application/json")),
            (&[",,, ;q=1, /, application/, ,"], JSON, Some("application/json")),
        ];
        for (values, offers, expected) in table {
            assert_eq!(best(&headers(&ACCEPT, values), offers), *expected, "{values:?}");
        }
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let table: &[(&[&str], bool)] = &[
            (&[], false),
            (&[""], false),
            (&["identity"], false),
            (&["gzip"], true),
            (&["GZip"], true),
            (&["x-gzip"], true),
            (&["br, gzip;q=0.2"], true),
            (&["br", "gzip"], true),
            (&["br, zstd"], false),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["gzip;q=0, *"], false),
            (&["*;q=0, gzip"], true),
            (&["gzip;q=0.000"], false),
            (&["gzip;q=junk"], false),
            (&["gzip;q=0.5;q=0"], true),
        ];
        for (values, expected) in table {
            assert_eq!(takes_gzip(&headers(&ACCEPT_ENCODING, values)), *expected, "{values:?}");
        }
    }
}
