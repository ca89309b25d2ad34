//! The page of webhooks. Everything on it is text that was escaped.

use maud::{DOCTYPE, Markup, html};

use super::viewer::{Delivery, Seen, Shown};

/// Seconds after which it is loaded anew.
const REFRESH: u32 = 3;

pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8886; --good: #1a7f37; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --good: #4ac26b; --bad: #ff8a80; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; }
article { border: 1px solid var(--line); border-left: 4px solid var(--good); border-radius: 4px; margin: .8rem 0; padding: .6rem .8rem; }
article.bad { border-left-color: var(--bad); }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
.good { color: var(--good); } .why { color: var(--bad); margin: 0; }
.about { font-size: .85rem; margin: .1rem 0 .4rem; overflow-wrap: anywhere; }
pre { font: 13px/1.4 ui-monospace, monospace; margin: .4rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
table { font: 13px/1.4 ui-monospace, monospace; border-spacing: 0; }
th { text-align: left; font-weight: 600; padding-right: 1rem; vertical-align: top; white-space: nowrap; } td { overflow-wrap: anywhere; }
";

/// What arrived, newest first; `still`: it is not loaded anew.
pub(super) fn rendered(seen: &Seen, kept: usize, still: bool) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if !still { meta http-equiv="refresh" content=(REFRESH); }
                title { "Webhooks · genesys-purge dev" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                h1 { "Webhooks" }
                p.about {
                    (seen.verified) " verified, " (seen.refused) " refused. The newest " (kept) " are shown, newest first. "
                    @if still { a href="/" { "Update every few seconds" } } @else { a href="/?still" { "Stop updating" } }
                }
                @if seen.shown.is_empty() { p { "Nothing has arrived yet. Submit a purge, and its webhooks come here." } }
                @for shown in &seen.shown { (article(shown)) }
            }
        }
    }
}

fn article(shown: &Shown) -> Markup {
    let time = shown.at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    match &shown.told {
        Ok(delivery) => html! { article { (verified(delivery, &time)) } },
        Err(why) => html! {
            article.bad {
                h2 { "Refused" }
                p.about { (time) }
                p.why { (why) }
            }
        },
    }
}

fn verified(delivery: &Delivery, time: &str) -> Markup {
    html! {
        h2 { (delivery.event) }
        p.about {
            (time) " · " span.good { "signature verified" } " · " (delivery.id)
            @if delivery.is_repeat { " · came before" }
        }
        details {
            summary { (delivery.headers.len()) " headers" }
            table { @for (name, value) in &delivery.headers { tr { th scope="row" { (name) } td { (value) } } } }
        }
        pre { (delivery.payload) }
    }
}
