//! Trouble with the database: it goes silent, accepts no writes for a while, has unusual settings.

mod away;
mod collisions;
mod frozen;
mod pooler;
mod read_only;
pub mod settings;
mod silent;
