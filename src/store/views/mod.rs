//! Reading: rows as callers and the engine look at them. Nothing here changes anything.

pub mod conversation;
pub mod conversations;
pub mod jobs;
pub mod metrics;
pub mod survey;
