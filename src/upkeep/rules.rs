//! Applies the retention rules of this process' configuration, as far as it may.

use crate::domain::retention::Policy;
use crate::store::orgs::enroll::{Enrolled, Enroller};
use crate::store::{Store, StoreError};

/// The same rules for each of its orgs.
#[derive(Debug)]
pub struct Rules {
    orgs: Vec<String>,
    configured: Policy,
    /// An API process only registers its orgs: workers apply the rules.
    is_api: bool,
}

impl Rules {
    pub const fn new(orgs: Vec<String>, configured: Policy, is_api: bool) -> Self {
        Self { orgs, configured, is_api }
    }

    /// Makes the orgs known, with rules no looser than the configured ones.
    pub async fn bring(&self, store: &Store) -> Result<(), StoreError> {
        for org in &self.orgs {
            if self.is_api {
                store.know_org(org, &self.configured).await?;
            } else {
                self.enroll(store, org).await?;
            }
        }
        Ok(())
    }

    async fn enroll(&self, store: &Store, org: &str) -> Result<(), StoreError> {
        let configured = &self.configured;
        let Enrolled { replaced, in_force } = store.enroll_org(org, configured, Enroller::Worker).await?;
        if let Some(before) = replaced {
            tracing::warn!(org, %before, after = %in_force, "the retention rules in force changed");
        }
        if in_force != *configured {
            tracing::warn!(
                org, %configured, %in_force,
                "the configured retention rules are looser than those in force, which stay: to adopt the configured ones, \
                 run `genesys-purge retention adopt`"
            );
        }
        store.try_at_once(org).await
    }
}
