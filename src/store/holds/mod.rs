//! Legal holds that are recorded in this service.

pub mod create;
pub mod late;
pub mod list;
pub(super) mod protect;
pub mod protecting;
pub mod read;
pub mod release;
