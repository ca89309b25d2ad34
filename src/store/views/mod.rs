//! Read-only queries for callers and the engine.

pub mod condition;
pub mod conversation;
pub mod conversations;
pub mod events;
pub mod feed;
pub mod job;
pub mod jobs;
pub mod live;
pub mod metrics;
pub mod orgs;
pub mod overview;
mod slices;
pub mod survey;
pub mod traces;
