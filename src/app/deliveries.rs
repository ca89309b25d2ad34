//! Sets up webhooks: their clients and their secrets.

use std::sync::Arc;

use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::terms::address_rules;
use super::{StartError, World};
use crate::api::{Hooks, Signing};
use crate::config::Settings;
use crate::engine::Chance;
use crate::meters::Meters;
use crate::store::secrets::RETENTION_SECRET;
use crate::store::{Store, StoreError};
use crate::webhooks::deliver::{self, Courier};
use crate::webhooks::{Pinger, SendError, Sender, SigningSecret, new_private_key, new_secret};

/// More deliveries than these are not counted.
pub(super) const MANY: i64 = 1000;

/// The secret with which the operator's receiver checks what it gets.
pub async fn retention_secret(
    settings: &Settings,
    world: &World,
    store: &Store,
) -> Result<String, StoreError> {
    match &settings.webhooks.secret {
        Some(secret) => Ok(secret.expose_secret().to_owned()),
        None => store.keep_secret(RETENTION_SECRET, &new_secret(world.random_bytes())).await,
    }
}

/// Sends everything that a process sends.
pub(super) fn sender(settings: &Settings) -> Result<Sender, SendError> {
    Sender::new(address_rules(settings))
}

pub(super) async fn start(
    settings: &Settings,
    world: &World,
    store: &Store,
    meters: &Meters,
    sender: Sender,
) -> Result<Courier, StartError> {
    let operator = match &settings.webhooks.url {
        Some(url) => Some(operator(settings, world, store, url.expose().clone()).await?),
        None => None,
    };
    let waiting = if operator.is_none() { store.waiting_deliveries(MANY).await? } else { 0 };
    if waiting > 0 {
        tracing::warn!(
            waiting,
            "webhook deliveries wait, but no receiver is configured (RETENTION_WEBHOOK_URL)"
        );
    }
    let terms = deliver::Terms {
        sender,
        operator,
        timeout: settings.webhooks.timeout,
        patience: deliver::Patience {
            schedule: settings.webhooks.retry_schedule.clone(),
            disable_after: settings.webhooks.disable_after,
        },
    };
    let chance = Chance::new(world.seed());
    let jitter = Arc::new(move || chance.fraction());
    Ok(Courier::new(store.clone(), terms, world.clock(), jitter, meters.clone()))
}

/// The operator's receiver. A secret that is not configured is made now, and read anew whenever something is sent: somebody
/// may put another in its place.
async fn operator(
    settings: &Settings,
    world: &World,
    store: &Store,
    url: Url,
) -> Result<deliver::Operator, StartError> {
    let secret = retention_secret(settings, world, store).await?;
    let parsed = SigningSecret::parse(&secret)?;
    let mut secrets = Vec::new();
    if settings.webhooks.secret.is_some() {
        secrets.push(parsed);
        if let Some(previous) = &settings.webhooks.previous_secret {
            secrets.push(SigningSecret::parse(previous.expose_secret())?);
        }
    }
    Ok(deliver::Operator { url, secrets })
}

pub(super) fn hooks(settings: &Settings, world: &World, sender: Sender) -> Hooks {
    let random = world.clone();
    let new_secret = move |signing: Signing| match signing {
        Signing::Hmac => new_secret(random.random_bytes()),
        Signing::Ed25519 => new_private_key(random.random_bytes()),
    };
    Hooks {
        pinger: Pinger::new(sender, settings.webhooks.timeout),
        rules: Arc::new(address_rules(settings)),
        new_secret: Arc::new(new_secret),
        clock: world.clock(),
    }
}
