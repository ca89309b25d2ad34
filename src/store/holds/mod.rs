//! Legal holds that are recorded in this service.

pub mod create;
pub mod late;
pub(super) mod protect;
pub mod read;
pub mod release;
