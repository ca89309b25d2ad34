//! Orgs: their rules, their budget of calls, whether upstream refuses them, how long their jobs take.

pub mod block;
pub mod breaker;
mod conflicts;
pub mod controls;
pub mod enroll;
pub mod hurdle;
mod known;
pub mod limiter;
pub(super) mod lock;
pub mod pace;
pub(super) mod policy;
pub(super) mod quiet;
mod retry;
pub mod stop;
pub mod token;
mod workers;
