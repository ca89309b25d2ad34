//! Webhooks on their way out: signed as the Standard Webhooks specification says, sent once.
//!
//! Invariant: webhooks sends the bytes that were stored, never builds a payload, and does not know what an event means.

pub mod deliver;
mod guard;
mod send;
mod sign;

pub use guard::{Addresses, Lookup, SystemLookup};
pub use send::{Destination, SendError, Sender, Sent};
pub use sign::{SecretError, SigningSecret, new_private_key, new_secret};
