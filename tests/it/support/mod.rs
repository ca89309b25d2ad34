//! The environment of every test: its own database, a simulated Genesys, a webhook receiver and the service, all real,
//! all over sockets of this machine.

pub mod books;
pub mod budget;
pub mod calls;
pub mod cluster;
pub mod disk;
pub mod pooler;
pub mod postgres;
pub mod problem;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod server;
pub mod service;
pub mod spool;
pub mod storm;
pub mod stream;
pub mod trouble;

pub use service::{Setup, TestService};
