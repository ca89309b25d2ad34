//! The admin page in a browser, for users and for attackers.

mod browser;
mod journeys;
mod looks;
pub mod plain;
mod safety;

use genesys_purge::sandbox::{JobDuration, Kind, Shares};

use crate::support::Setup;
use browser::Browser;

/// An organization with something of everything, whose jobs take a moment; receivers may be on this machine.
fn setup() -> Setup {
    let shares =
        Shares { eligible: 0.7, held: 0.1, young: 0.1, active: 0.05, deleted: 0.05, ..Shares::none() };
    let setup = Setup::new()
        .env("PURGE__WEBHOOKS__ALLOWED_NETWORKS", "127.0.0.0/8")
        .env("PURGE__WEBHOOKS__ALLOWED_PORTS", "1-65535");
    setup.sandbox(|settings| {
        (settings.conversations, settings.shares) = (200, shares);
        settings.job_duration = JobDuration { base_ms: 400, jitter_ms: 0 };
    })
}

/// Some ids of each kind, as somebody would paste them.
fn pasted(setup: &Setup) -> String {
    let kinds = [Kind::Eligible, Kind::Held, Kind::Young, Kind::Active, Kind::Deleted];
    let ids = kinds.into_iter().flat_map(|kind| setup.ids_of(kind).into_iter().take(5));
    ids.map(|id| format!("{id}\n")).collect::<Vec<_>>().concat()
}

/// A browser in which somebody has signed in with this key.
async fn signed_in(url: &str, key: &str) -> Browser {
    let browser = Browser::start().await;
    browser.go(&format!("{url}/admin")).await;
    browser.fill("#key", key).await;
    browser.click("button[type=submit]").await;
    browser.until_text("h1", "Overview").await;
    browser
}
