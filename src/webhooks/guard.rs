//! The address guard at the moment of connecting: a name is resolved once, its addresses are checked, and the
//! connection goes to exactly those.
//!
//! If one address of a name is not allowed, the whole name is refused. Otherwise the order of a DNS answer would
//! decide whether a delivery arrives, and a name with both a public and a private address is either a mistake or an
//! attack.
//!
//! Invariant: the addresses of a name go only to the HTTP client, never into an error.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::domain::address::AddressRules;

/// System look-ups can't be canceled, and each takes a thread that file IO needs, too. This many leave enough.
const LOOK_UPS: usize = 128;

/// The addresses of a name right now.
pub type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Looks up names.
pub trait Lookup: Send + Sync {
    /// All addresses of a name.
    fn addresses(&self, name: String) -> Addresses;
}

/// Asks the system, as everybody on this machine does.
pub struct SystemLookup {
    room: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(LOOK_UPS)) }
    }
}

impl Lookup for SystemLookup {
    fn addresses(&self, name: String) -> Addresses {
        let room = Arc::clone(&self.room);
        Box::pin(async move {
            let place = room.acquire_owned().await.map_err(io::Error::other)?;
            let looking = tokio::task::spawn_blocking(move || {
                let found = (name.as_str(), 0).to_socket_addrs()?;
                // The thread is busy until here, whether or not anybody still waits.
                drop(place);
                Ok(found.map(|address| address.ip()).collect())
            });
            looking.await.map_err(io::Error::other)?
        })
    }
}

/// Some address of a name is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is not allowed")]
pub(super) struct NotAllowed;

/// The resolver of a client that may only connect to allowed addresses.
pub(super) struct Guard {
    pub(super) rules: Arc<AddressRules>,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = Arc::clone(&self.rules);
        let addresses = self.lookup.addresses(name.as_str().to_owned());
        Box::pin(async move {
            let addresses = addresses.await?;
            if !addresses.iter().all(|address| rules.allows(*address)) {
                return Err(NotAllowed.into());
            }
            // Port 0 is replaced by the one of the URL.
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
