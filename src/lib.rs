//! Permanently deletes Genesys Cloud conversation archives for other systems, and proves what it did.
//!
//! The modules, in the order in which a purge meets them; docs/architecture.md explains the flow.
//!
//! - [`cli`]: a file a command; [`app`]: what everyone is handed, the order of start and stop
//! - [`config`]: typed settings, the only reader of the environment
//! - [`admin`]: the pages for people; [`api`]: HTTP, a file an operation; [`intake`]: bytes to ids in constant memory
//! - [`store`]: all the SQL, a file an operation
//! - [`engine`]: a file a step: validate, submit, poll, look; [`upkeep`]: what the dead left behind
//! - [`domain`]: the decisions, pure and table-tested; [`evidence`]: reports, from rows that it is given
//! - [`feed`]: numbers events in the order of their commits
//! - [`genesys`]: the wire to upstream, a file a driver; [`webhooks`]: signed deliveries
//! - [`sandbox`]: the simulated Genesys; [`postgres`]: the embedded server; [`telemetry`]: logs; [`meters`]: metrics;
//!   [`traces`]: spans of a purge's way
//! - [`crash`]: where tests have the service die

pub mod admin;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod crash;
pub mod domain;
pub mod engine;
pub mod evidence;
pub mod feed;
pub mod genesys;
pub mod intake;
pub mod meters;
pub mod postgres;
pub mod sandbox;
pub mod store;
pub mod telemetry;
pub mod traces;
pub mod upkeep;
pub mod webhooks;
