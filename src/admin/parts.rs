//! Pieces of pages.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use maud::{Markup, html};

use super::gate::Visitor;
use crate::domain::state::PurgeState;

/// So many rows a page.
pub(super) const ROWS: usize = 50;

/// What each form carries.
pub(super) fn token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="token" value=(visitor.token); }
}

/// After a form was sent: the browser is to ask for another page.
pub(super) fn to(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, path), (CACHE_CONTROL, "no-store")]).into_response()
}

/// A moment, to the second.
pub(super) fn time(at: Timestamp) -> Markup {
    html! { time datetime=(at) { (at.strftime("%Y-%m-%d %H:%M:%S")) " UTC" } }
}

pub(super) fn time_if_any(at: Option<Timestamp>) -> Markup {
    html! { @if let Some(at) = at { (time(at)) } @else { (none()) } }
}

/// Nothing to tell.
pub(super) fn none() -> Markup {
    html! { span.none { "–" } }
}

pub(super) fn text_if_any(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { (text) } @else { (none()) } }
}

/// A word of the contract, as people write it.
pub(super) fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// A number with its thousands apart.
pub(super) fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many, of what.
pub(super) fn counted(many: i64, one: &str, more: &str) -> String {
    format!("{} {}", number(many), if many == 1 { one } else { more })
}

/// A time span in words, to two units.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Where a purge stands.
pub(super) fn state(state: PurgeState, is_dry_run: bool) -> Markup {
    html! {
        span.state.(state) { (words(state.as_str())) }
        @if is_dry_run { " " span.state.dry { "dry run" } }
    }
}

/// How long a call took.
pub(super) fn took(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.2} s") }
}

/// A text of the API as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// A list of names and values.
pub(super) fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in rows { div { dt { (name) } dd { (value) } } }
        }
    }
}

/// Where the next page of a list is.
pub(super) fn next_page(path: Option<&str>) -> Markup {
    html! {
        @if let Some(path) = path {
            p.pages { a.button href=(path) { "Next page" } }
        }
    }
}

/// A path with the parts of its query that say something.
pub(super) fn path(base: &str, query: &[(&str, &str)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        text.append_pair(name, value);
    }
    let text = text.finish();
    if text.is_empty() { base.to_owned() } else { format!("{base}?{text}") }
}

/// Where a form asks why.
pub(super) fn why() -> Markup {
    html! {
        div.field {
            label for="reason" { "Reason (optional)" }
            input #reason name="reason" maxlength="1000" autocomplete="off";
        }
    }
}

/// Who did something, when, and why.
pub(super) fn done(by: &str, at: Timestamp, reason: Option<&str>) -> Markup {
    html! { (time(at)) " by " (by) @if let Some(reason) = reason { ": " (reason) } }
}

/// A question before something that can't be taken back, or that others will notice.
pub(super) fn question(visitor: &Visitor, what: &Markup, act: &str, is_danger: bool, back: &str) -> Markup {
    html! {
        form.question method="post" {
            (token(visitor))
            (what)
            p.buttons {
                button.danger[is_danger] type="submit" { (act) }
                a.button href=(back) { "Back" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_are_written_for_people() {
        for (value, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (10_000_000, "10,000,000"), (-1234, "-1,234")]
        {
            assert_eq!(number(value), text);
        }
        for (seconds, text) in
            [(-1, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(span(seconds), text);
        }
        assert_eq!(counted(1, "conversation", "conversations"), "1 conversation");
        for (text, told) in [("no such page", "No such page."), ("Done.", "Done."), ("", ".")] {
            assert_eq!(sentence(text), told);
        }
    }

    #[test]
    fn a_path_says_only_what_there_is_to_say() {
        assert_eq!(path("/a", &[("b", ""), ("c", "")]), "/a");
        assert_eq!(path("/a", &[("b", "x&y"), ("c", ""), ("d", "z")]), "/a?b=x%26y&d=z");
    }
}
