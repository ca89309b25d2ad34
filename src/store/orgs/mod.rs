//! Orgs: their rules, their budget of calls, whether upstream refuses them, how long their jobs take.

pub mod block;
pub mod enroll;
pub mod limiter;
pub(super) mod lock;
pub mod pace;
pub(super) mod policy;
pub mod stop;
pub mod token;
