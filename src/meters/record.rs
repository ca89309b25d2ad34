//! The counters and timers: one method each.

use super::{
    CONVERSATIONS, DATABASE_ERRORS, DATABASE_REWINDS, ENDPOINTS_DISABLED, HTTP_IN_FLIGHT, LEASES_EXPIRED,
    Meters, PERMITS_REFUSED, TRANSACTION_RETRIES, WEBHOOK_ATTEMPTS, WEBHOOKS_REDELIVERED,
};
use crate::domain::outcome::Outcome;
use crate::domain::rewind::Rewind;
use crate::domain::state::DeliveryState;

/// What a lease may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leased {
    /// Slices about whose conversations somebody was asking.
    Slices,
    /// Jobs that somebody was submitting.
    Submits,
}

impl Leased {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Slices => "slices",
            Self::Submits => "submits",
        }
    }
}

/// How a transaction can lose to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collision {
    /// Each waited for what the other had.
    Deadlock,
    /// What it had read was changed.
    Serialization,
}

impl Collision {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Deadlock => "deadlock",
            Self::Serialization => "serialization",
        }
    }
}

/// How an attempt of a delivery can end.
pub(super) const ATTEMPT_RESULTS: [&str; 3] = ["delivered", "failed", "dead"];

impl Meters {
    /// Everything whose labels are known from the start.
    pub(super) fn begin<'a>(&self, orgs: impl IntoIterator<Item = &'a str>) {
        for org in orgs {
            for outcome in Outcome::ALL.iter().filter(|outcome| outcome.is_final()) {
                self.conversations_decided(org, *outcome, 0);
            }
            for of in [Leased::Slices, Leased::Submits] {
                self.leases_expired(org, of, 0);
            }
            for call in ["details", "submit", "poll"] {
                self.add(&PERMITS_REFUSED, [org.to_owned().into(), call.into()], 0);
            }
        }
        for result in ATTEMPT_RESULTS {
            self.add(&WEBHOOK_ATTEMPTS, [result.into()], 0);
        }
        self.add(&ENDPOINTS_DISABLED, [], 0);
        for state in DeliveryState::ALL {
            self.webhooks_redelivered(*state, 0);
        }
        for kind in Rewind::ALL {
            self.add(&DATABASE_REWINDS, [kind.as_str().into()], 0);
        }
        for is_outage in [true, false] {
            self.add(&DATABASE_ERRORS, [error_kind(is_outage).into()], 0);
        }
        for cause in [Collision::Deadlock, Collision::Serialization] {
            self.add(&TRANSACTION_RETRIES, [cause.as_str().into()], 0);
        }
        self.shift(&HTTP_IN_FLIGHT, 0.0);
    }

    /// So many conversations reached this final outcome.
    pub fn conversations_decided(&self, org: &str, outcome: Outcome, number: u64) {
        self.add(&CONVERSATIONS, [org.to_owned().into(), outcome.as_str().into()], number);
    }

    /// A call was put off for want of a permit.
    pub fn permit_refused(&self, org: &str, call: &'static str) {
        self.add(&PERMITS_REFUSED, [org.to_owned().into(), call.into()], 1);
    }

    /// So many leases ended without a result.
    pub fn leases_expired(&self, org: &str, of: Leased, number: u64) {
        self.add(&LEASES_EXPIRED, [org.to_owned().into(), of.as_str().into()], number);
    }

    /// An endpoint is sent nothing more.
    pub fn endpoint_disabled(&self) {
        self.add(&ENDPOINTS_DISABLED, [], 1);
    }

    /// So many deliveries that were in this state are sent again because somebody asked for it.
    pub fn webhooks_redelivered(&self, was: DeliveryState, number: u64) {
        self.add(&WEBHOOKS_REDELIVERED, [was.as_str().into()], number);
    }

    /// The database went back in time.
    pub fn database_rewound(&self, kind: Rewind) {
        self.add(&DATABASE_REWINDS, [kind.as_str().into()], 1);
    }

    /// A transaction was rolled back for the sake of others, and is done again.
    pub fn transaction_retried(&self, cause: Collision) {
        self.add(&TRANSACTION_RETRIES, [cause.as_str().into()], 1);
    }

    /// The database refused something, or could not be reached.
    pub fn database_error(&self, is_outage: bool) {
        self.add(&DATABASE_ERRORS, [error_kind(is_outage).into()], 1);
    }
}

const fn error_kind(is_outage: bool) -> &'static str {
    if is_outage { "outage" } else { "other" }
}
