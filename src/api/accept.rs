//! Which of the forms that a call can answer in the caller wants: `Accept`, as RFC 9110, section 12.5.1 reads it.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};

use super::problem::Problem;

/// The offered media type that the caller likes best: the one with the highest quality, and of several the one that is
/// offered first; `None` where none is acceptable. Without the header everything is.
pub(super) fn preferred<T: Copy>(headers: &HeaderMap, offered: &[(&'static str, T)]) -> Option<T> {
    let ranges = ranges(headers);
    let mut best: Option<(u16, T)> = None;
    for &(media_type, form) in offered {
        let quality = if ranges.is_empty() { 1000 } else { quality(&ranges, media_type) };
        if quality > best.map_or(0, |(best, _)| best) {
            best = Some((quality, form));
        }
    }
    best.map(|(_, form)| form)
}

/// None of the forms that a call can answer in is acceptable.
pub(super) fn not_acceptable(detail: &str) -> Problem {
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
}

/// A media range with its quality, in thousandths.
struct Range {
    main: String,
    sub: String,
    quality: u16,
}

impl Range {
    /// How closely it names a media type: the closest range is the one that counts.
    fn closeness(&self, main: &str, sub: &str) -> Option<u8> {
        match (self.main.as_str(), self.sub.as_str()) {
            (own, "*") if own == main => Some(1),
            (own, own_sub) if own == main && own_sub == sub => Some(2),
            ("*", "*") => Some(0),
            _ => None,
        }
    }
}

fn quality(ranges: &[Range], media_type: &str) -> u16 {
    let Some((main, sub)) = media_type.split_once('/') else { return 0 };
    let close = ranges.iter().filter_map(|range| Some((range.closeness(main, sub)?, range.quality)));
    close.max().map_or(0, |(_, quality)| quality)
}

/// What the caller accepts; what is no media range accepts nothing.
fn ranges(headers: &HeaderMap) -> Vec<Range> {
    let values = headers.get_all(ACCEPT).iter();
    let texts = values.map(|value| value.to_str().unwrap_or("unreadable").to_ascii_lowercase());
    let all = texts.collect::<Vec<_>>().join(",");
    all.split(',').map(str::trim).filter(|range| !range.is_empty()).map(range).collect()
}

fn range(text: &str) -> Range {
    let mut parts = text.split(';').map(str::trim);
    let (main, sub) = parts.next().and_then(|range| range.split_once('/')).unwrap_or_default();
    // Parameters of the media type itself are let pass: no form here comes in several of them.
    let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1000), thousandths);
    Range { main: main.to_owned(), sub: sub.to_owned(), quality: quality.unwrap_or_default() }
}

/// `0`, `1`, or up to three decimals between them.
fn thousandths(quality: &str) -> Option<u16> {
    let (whole, decimals) = quality.split_once('.').unwrap_or((quality, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|digit| digit.is_ascii_digit());
    let decimals = is_number.then(|| format!("{decimals:0<3}").parse::<u16>().ok()).flatten()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(accept: &[&str]) -> Option<char> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        preferred(&headers, &[("text/csv", 'c'), ("application/x-ndjson", 'n')])
    }

    #[test]
    fn the_form_with_the_highest_quality_is_chosen() {
        let table: &[(&[&str], Option<char>)] = &[
            (&[], Some('c')),
            (&[""], Some('c')),
            (&["*/*"], Some('c')),
            (&["text/csv"], Some('c')),
            (&["application/x-ndjson"], Some('n')),
            (&["APPLICATION/X-NDJSON; Q=1"], Some('n')),
            (&["application/x-ndjson, text/csv"], Some('c')),
            (&["text/csv;q=0.5, application/x-ndjson;q=0.501"], Some('n')),
            (&["text/csv;q=0.5", "application/x-ndjson"], Some('n')),
            (&["*/*;q=0.9, text/csv;q=0.1"], Some('n')),
            (&["application/*"], Some('n')),
            (&["application/*;q=0.2, */*;q=0.1"], Some('n')),
            (&["text/csv;q=0, */*"], Some('n')),
            (&["text/csv; charset=utf-8; header=present"], Some('c')),
            (&["application/json"], None),
            (&["text/csv;q=0"], None),
            (&["*/*;q=0.000"], None),
            (&["csv"], None),
            (&["*/csv"], None),
            (&["text/csv;q=2"], None),
            (&["text/csv;q=0.1234"], None),
            (&["text/csv;q=-1"], None),
            (&["text/csv;q="], None),
        ];
        for (accept, expected) in table {
            assert_eq!(among(accept), *expected, "{accept:?}");
        }
    }
}
