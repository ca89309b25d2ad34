//! With what the viewer of a dev checks what callers have sent to it: each endpoint signs with a secret of its own.
//!
//! Invariant: it reads the secrets of endpoints at the viewer's own address alone.

use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::domain::keys::Reach;
use crate::store::endpoints::{Endpoint, MOST};
use crate::store::{Store, StoreError};
use crate::webhooks::Verifier;

/// The endpoints of a dev.
pub(super) struct Secrets {
    store: Store,
    /// Where the viewer listens.
    port: u16,
}

impl Secrets {
    pub(super) fn new(store: Store, port: u16) -> Self {
        Self { store, port }
    }

    /// What takes what was signed for the registered endpoints here, and for that of the purge that the payload names.
    pub(super) async fn verifier(&self, body: &[u8]) -> Result<Verifier, StoreError> {
        let mut endpoints = self.store.endpoints(&Reach::all(), None, MOST).await?;
        if let Some(purge) = purge_of(body)
            && let Some(id) = self.store.purge(&Reach::all(), purge).await?.and_then(|purge| purge.endpoint)
        {
            endpoints.extend(self.store.endpoint(&Reach::all(), id).await?);
        }
        let mut verifier = Verifier::default();
        for endpoint in endpoints.iter().filter(|endpoint| self.is_here(endpoint)) {
            if let Err(error) = verifier.add(endpoint.secret.expose_secret()) {
                tracing::warn!(%error, endpoint = %endpoint.id, "the secret of an endpoint can't be read");
            }
        }
        Ok(verifier)
    }

    fn is_here(&self, endpoint: &Endpoint) -> bool {
        Url::parse(&endpoint.url).is_ok_and(|url| url.port_or_known_default() == Some(self.port))
    }
}

fn purge_of(body: &[u8]) -> Option<Uuid> {
    let payload: Value = serde_json::from_slice(body).ok()?;
    Uuid::try_parse(payload.get("purgeId")?.as_str()?).ok()
}
