//! Converts settings to the types of the domain.

use crate::config::{OrgSettings, Promotion, Settings, UnknownAge};
use crate::domain::address::AddressRules;
use crate::domain::missing::Tolerance;
use crate::domain::retention::{self, Policy};
use crate::domain::rewind;
use crate::domain::search::ConflictLimit;
use crate::domain::terms::{EngineTerms, OrgTerms};

pub fn engine_terms(settings: &Settings) -> EngineTerms {
    let engine = &settings.engine;
    EngineTerms {
        workers: engine.workers,
        paused: engine.paused,
        poll_initial: engine.poll_initial,
        poll_max: engine.poll_max,
        job_deadline: engine.job_deadline,
        lease: engine.lease,
        intent_ttl: engine.intent_ttl,
        ambiguity_grace: engine.ambiguity_grace,
        absence_gap: engine.absence_gap,
        validation_max_age: engine.validation_max_age,
        verify_timeout: engine.verify_timeout,
        resubmit_after: engine.resubmit_after,
        max_attempts: engine.max_attempts,
        missing: Tolerance { percent: engine.not_found_percent, from: engine.not_found_from },
        shutdown_grace: engine.shutdown_grace,
    }
}

pub fn org_terms(name: &str, org: &OrgSettings) -> OrgTerms {
    OrgTerms {
        name: name.to_owned(),
        max_batch: org.max_batch,
        details_batch: org.details_batch,
        slots: usize::try_from(org.max_concurrent_jobs).unwrap_or(usize::MAX),
        per_minute: org.requests_per_minute.map_or(0, std::num::NonZeroU32::get),
        mixes_purges: org.mix_purges,
        conflict_limit: ConflictLimit { percent: org.max_conflict_percent, jobs: org.conflict_jobs },
    }
}

pub(super) fn address_rules(settings: &Settings) -> AddressRules {
    let webhooks = &settings.webhooks;
    AddressRules::new(webhooks.allowed_ports.clone(), webhooks.allowed_networks.clone())
        .only_networks(webhooks.only_allowed_networks)
}

pub fn promotion(settings: &Settings) -> rewind::Promotion {
    match settings.database.promotion {
        Promotion::Check => rewind::Promotion::Check,
        Promotion::Lossless => rewind::Promotion::Lossless,
    }
}

pub fn policy(settings: &Settings) -> Policy {
    Policy {
        default_days: settings.retention.default_days,
        unknown_age: match settings.retention.unknown_age {
            UnknownAge::Retain => retention::UnknownAge::Retain,
            UnknownAge::Purge => retention::UnknownAge::Purge,
        },
    }
}
