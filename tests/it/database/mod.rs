//! What the database does to the service: it goes silent, takes no writes for a while, has settings of its own.

mod away;
mod collisions;
mod frozen;
mod pooler;
mod read_only;
pub mod settings;
mod silent;
