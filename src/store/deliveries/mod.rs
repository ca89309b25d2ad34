//! Deliveries: events on their way to a receiver.

pub mod claim;
mod health;
pub mod list;
pub(in crate::store) mod owe;
pub mod read;
pub mod record;
pub mod redeliver;

/// The notification of new deliveries; no org can have this name.
pub(super) const WAKE: &str = "#deliveries";

/// The endpoint id of the operator's own receiver.
pub const RETENTION: &str = "retention";

/// Whether this is the notification of new deliveries.
pub fn is_wake(payload: &str) -> bool {
    payload == WAKE
}
