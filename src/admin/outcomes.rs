//! What became of the conversations of a purge: a bar, and the numbers beside it.

use maud::{Markup, html};

use super::parts::{number, words};
use crate::domain::counts::Tally;

/// The outcomes in the order in which a bar shows them, and the color of each.
pub(super) fn of(counts: &Tally) -> [(&'static str, &'static str, i64); 12] {
    [
        ("purged", "good", counts.purged),
        ("already_purged", "gone", counts.already_purged),
        ("would_purge", "would", counts.would_purge),
        ("on_hold", "held", counts.on_hold),
        ("retained", "kept", counts.retained),
        ("not_found", "missing", counts.not_found),
        ("active", "active", counts.active),
        ("canceled", "off", counts.canceled),
        ("failed", "bad", counts.failed),
        ("submitted", "sent", counts.submitted),
        ("eligible", "ready", counts.eligible),
        ("pending", "open", counts.pending),
    ]
}

/// The bar: each outcome as wide as its share, and as a number below. Where there is a page of its conversations, the numbers
/// lead there.
pub(super) fn bar(counts: &Tally, list: Option<&str>) -> Markup {
    let shown: Vec<_> = of(counts).into_iter().filter(|(_, _, many)| *many > 0).collect();
    html! {
        (strip(counts))
        ul.legend {
            @for (name, color, many) in &shown {
                li {
                    span.dot.(color) {}
                    @if let Some(list) = list {
                        a href={ (list) "?outcome=" (name) } { (words(name)) }
                    } @else { (words(name)) }
                    " " strong { (number(*many)) }
                }
            }
        }
    }
}

/// The bar alone.
pub(super) fn strip(counts: &Tally) -> Markup {
    const WIDTH: i64 = 1000;
    let total = counts.total.max(1);
    let mut told = 0;
    let mut pieces = Vec::new();
    for (name, color, many) in of(counts).into_iter().filter(|(_, _, many)| *many > 0) {
        let (from, until) = (told * WIDTH / total, (told + many) * WIDTH / total);
        pieces.push((name, color, many, from, (until - from).max(2)));
        told += many;
    }
    let told: Vec<String> =
        pieces.iter().map(|(name, _, many, ..)| format!("{} {}", number(*many), words(name))).collect();
    html! {
        svg.bar viewBox={ "0 0 " (WIDTH) " 16" } preserveAspectRatio="none" role="img" aria-label=(told.join(", ")) {
            @for (_, color, _, from, width) in &pieces {
                rect.(color) x=(from) y="0" width=(width) height="16" {}
            }
        }
    }
}
