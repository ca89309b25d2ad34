//! What every test stands on: a database of its own, a simulated Genesys, a webhook receiver and the service, all real,
//! all over sockets of this machine.

pub mod postgres;
pub mod receiver;
pub mod service;
pub mod trouble;

pub use service::{Setup, TestService};
