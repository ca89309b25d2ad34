//! The operator's receiver of webhooks: does it answer, and is there a secret to sign with?

use super::database::Connected;
use super::finding::Finding;
use super::{LONGEST, Practice, asked};
use crate::config::Settings;
use crate::domain::address::AddressRules;
use crate::store::secrets::RETENTION_SECRET;
use crate::webhooks::Sender;

pub(super) async fn examine(
    practice: &Practice<'_>,
    settings: &Settings,
    connected: Option<&Connected>,
) -> Vec<Finding> {
    let Some(url) = &settings.webhooks.url else {
        return vec![Finding::ok("webhook", "no receiver is configured (RETENTION_WEBHOOK_URL)")];
    };
    let reached = if practice.is_offline {
        Finding::skipped("webhook", "--offline")
    } else {
        let receiver = format!("{url:?}");
        let remedy = "check RETENTION_WEBHOOK_URL and the way there; deliveries are tried for days";
        let probed = match Sender::new(AddressRules::default()) {
            Ok(sender) => sender.probe(url.expose(), LONGEST).await,
            Err(error) => Err(error),
        };
        match probed {
            Ok(status) if status >= 500 => {
                Finding::warn("webhook", format_args!("{receiver} answers {status}"), remedy)
            }
            Ok(status) => Finding::ok("webhook", format_args!("{receiver} answers (HEAD: {status})")),
            Err(error) => Finding::warn("webhook", format_args!("{receiver}: {error}"), remedy),
        }
    };
    vec![reached, secret(settings, connected).await]
}

async fn secret(settings: &Settings, connected: Option<&Connected>) -> Finding {
    if settings.webhooks.secret.is_some() {
        return Finding::ok("webhook secret", "set in the configuration");
    }
    let Some(connected) = connected.filter(|connected| connected.is_current) else {
        return Finding::skipped("webhook secret", "it is kept in the database");
    };
    match asked("webhook secret", connected.store.has_secret(RETENTION_SECRET)).await {
        Ok(true) => {
            Finding::ok("webhook secret", "kept in the database; `genesys-purge webhooks secret` tells it")
        }
        Ok(false) => Finding::ok("webhook secret", "made at the first start of `serve`"),
        Err(failed) => failed,
    }
}
