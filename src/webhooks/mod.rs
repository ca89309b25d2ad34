//! Webhooks on their way out: signed as the Standard Webhooks specification says, sent once; and how a receiver verifies.
//!
//! Invariant: webhooks sends the bytes that were stored, never builds a payload, and does not know what an event means.

mod attempt;
pub mod deliver;
mod guard;
mod lines;
mod ping;
mod send;
mod sign;
mod traced;
mod verify;

pub use guard::{Addresses, Lookup, SystemLookup};
pub use ping::Pinger;
pub use send::{Destination, Message, SendError, Sender, Sent};
pub use sign::{SecretError, SigningSecret, new_private_key, new_secret};
pub use verify::{Refusal, Verified, Verifier};
