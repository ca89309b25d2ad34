//! The state that handlers get.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::endpoints::body::Signing;
use super::followed::Followed;
use super::live::Live;
use super::metrics::desk::MetricsDesk;
use super::quotas::Quotas;
use super::room::Room;
use super::terms::{ConnectionTerms, IntakeTerms};
use crate::domain::address::AddressRules;
use crate::domain::terms::OrgTerms;
use crate::store::Store;
use crate::store::purges::load::Purge;
use crate::traces::Traces;
use crate::webhooks::Pinger;

#[derive(Clone)]
pub struct ApiState {
    pub store: Store,
    /// The configured orgs, sorted by name.
    pub orgs: Arc<[OrgTerms]>,
    pub intake: IntakeTerms,
    /// Timeout of a request; for waits, uploads and reports of each piece.
    pub request_timeout: Duration,
    pub connections: ConnectionTerms,
    /// Limits on uploads, waits and unread answers.
    pub room: Room,
    /// The quotas of keys.
    pub quotas: Quotas,
    /// The purges that requests wait for.
    pub ends: Followed<Uuid, Purge>,
    /// Keys of those who wait, and whether each is in force.
    pub keys: Followed<Uuid, bool>,
    /// Live events.
    pub live: Live,
    /// Makes the ids of requests that bring none.
    pub new_id: Arc<dyn Fn() -> Uuid + Send + Sync>,
    pub metrics: Arc<MetricsDesk>,
    pub hooks: Hooks,
    pub calls: Calls,
    /// Where requests that create purges are traced.
    pub traces: Traces,
}

/// What endpoints need.
#[derive(Clone)]
pub struct Hooks {
    /// Where they may be.
    pub rules: Arc<AddressRules>,
    pub new_secret: Arc<dyn Fn(Signing) -> String + Send + Sync>,
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub pinger: Pinger,
}

/// Which calls a process answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    All,
    /// Health and metrics, of every process.
    Operations,
}
