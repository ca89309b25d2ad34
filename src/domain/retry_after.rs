//! How long the other side asks to wait.
//!
//! `Retry-After` comes in every form: seconds, fractions, negative, absurd, dates of the past and of the far future,
//! twice, or as junk. Each gives a wait between [`SHORTEST`] and the maximum, or none at all; never an instant retry.

use std::time::Duration;

use jiff::Timestamp;

/// The first step of the callers' backoff: a throttled call never comes again sooner.
pub const SHORTEST: Duration = Duration::from_secs(1);

/// The wait that an answer asks for by its `Retry-After` values, the longest of them, up to `longest`. `answered_at` is the
/// clock of whoever answered where it was told, and the caller's otherwise.
pub fn wait<'a>(
    retry_after: impl IntoIterator<Item = &'a str>,
    answered_at: Timestamp,
    longest: Duration,
) -> Option<Duration> {
    let waits = retry_after.into_iter().flat_map(|value| waits_in(value, answered_at)).max();
    waits.map(|wait| wait.clamp(SHORTEST, longest))
}

/// The readable waits in one header line, which may be several that a proxy has joined by commas.
fn waits_in(value: &str, answered_at: Timestamp) -> Vec<Duration> {
    let parts: Vec<&str> = value.split(',').collect();
    let mut waits = Vec::new();
    let mut index = 0;
    while index < parts.len() {
        if let Some(seconds) = seconds(parts[index]) {
            waits.push(seconds);
        } else if let Some(rest) = parts.get(index + 1) {
            // The usual form of a date has a comma of its own, after the day of the week.
            if let Some(wait) = until(&format!("{},{rest}", parts[index]), answered_at) {
                waits.push(wait);
                index += 1;
            }
        }
        index += 1;
    }
    if waits.is_empty() { until(value, answered_at).into_iter().collect() } else { waits }
}

/// Decimal seconds, signed or not; less than nothing is nothing. `f64` also reads "inf" and "1e9", which are junk
/// here.
pub fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+')) {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

/// An HTTP date in any of its three forms (RFC 9110, section 5.6.7).
fn until(text: &str, answered_at: Timestamp) -> Option<Duration> {
    let date = Timestamp::try_from(httpdate::parse_http_date(text.trim()).ok()?).ok()?;
    Some(Duration::try_from(date.duration_since(answered_at)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn wait_of(values: &[&str]) -> Option<f64> {
        wait(values.iter().copied(), at(), Duration::from_hours(1)).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn every_form_of_retry_after_gives_a_sane_wait_or_none() {
        let cases: &[(&[&str], Option<f64>)] = &[
            (&["17"], Some(17.0)),
            (&[" 17 "], Some(17.0)),
            (&["+17"], Some(17.0)),
            (&["0"], Some(1.0)),
            (&["-5"], Some(1.0)),
            (&["0.2"], Some(1.0)),
            (&["2.5"], Some(2.5)),
            (&["3600"], Some(3600.0)),
            (&["3601"], Some(3600.0)),
            (&["99999999999999999999999999999999"], Some(3600.0)),
            (&["Sun, 01 Mar 2026 12:00:30 GMT"], Some(30.0)),
            (&["Sunday, 01-Mar-26 12:00:30 GMT"], Some(30.0)),
            (&["Sun Mar  1 12:00:30 2026"], Some(30.0)),
            (&["Sun, 01 Mar 2026 11:00:00 GMT"], Some(1.0)),
            (&["Sun, 01 Mar 2026 12:00:00 GMT"], Some(1.0)),
            (&["Wed, 01 Mar 2028 12:00:00 GMT"], Some(3600.0)),
            (&["5", "40"], Some(40.0)),
            (&["40", "5"], Some(40.0)),
            (&["5, 40"], Some(40.0)),
            (&["5", "soon"], Some(5.0)),
            (&["soon, 5"], Some(5.0)),
            (&["5, Sun, 01 Mar 2026 12:00:30 GMT"], Some(30.0)),
            (&["Sun, 01 Mar 2026 12:00:30 GMT, Sun, 01 Mar 2026 12:00:20 GMT"], Some(30.0)),
            (&[], None),
            (&[""], None),
            (&[","], None),
            (&["soon"], None),
            (&["inf"], None),
            (&["NaN"], None),
            (&["1e3"], None),
            (&["5s"], None),
            (&["1-2"], None),
            (&["."], None),
            (&["Sun, 99 Mar 2026 12:00:30 GMT"], None),
        ];
        for (values, expected) in cases {
            assert_eq!(wait_of(values), *expected, "{values:?}");
        }
    }
}
