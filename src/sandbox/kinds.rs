//! The kinds of conversation that the sandbox is populated with, and what a faithful purge makes of each.
//!
//! Invariant: an expected outcome follows from the kind alone; no call and no fault ever changes it.

use serde::{Deserialize, Serialize};

/// What a conversation of the sandbox is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Ended long ago, unprotected.
    Eligible,
    /// Carries `customAttributes.legal_hold` true, as a boolean or as text.
    Held,
    /// Ended a few days ago: within any retention period of a month or more.
    Young,
    /// Has no `conversationEnd`.
    Active,
    /// Was deleted before anybody asked.
    Deleted,
    /// Is not known here, though the population lists its id.
    Unknown,
    /// Looks eligible, but is protected by something that only a submit finds; the 409 names it.
    ConflictNamed,
    /// The same, but the 409 names nothing.
    ConflictUnnamed,
    /// Has a `conversationEnd` that is no date.
    UnreadableEnd,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 9;

    /// Every kind, in the order of the enum.
    pub const ALL: [Kind; Self::COUNT] = [
        Kind::Eligible,
        Kind::Held,
        Kind::Young,
        Kind::Active,
        Kind::Deleted,
        Kind::Unknown,
        Kind::ConflictNamed,
        Kind::ConflictUnnamed,
        Kind::UnreadableEnd,
    ];

    /// What becomes of such a conversation in a purge of all ids, with a retention of 365 days and unknown ages
    /// retained (the service's defaults).
    pub const fn expected(self) -> Expected {
        match self {
            Kind::Eligible => Expected::Purged,
            Kind::Held | Kind::ConflictNamed | Kind::ConflictUnnamed => Expected::OnHold,
            Kind::Young | Kind::UnreadableEnd => Expected::Retained,
            Kind::Active => Expected::Active,
            Kind::Deleted => Expected::AlreadyPurged,
            Kind::Unknown => Expected::NotFound,
        }
    }

    /// Whether a details answer shows that this must not be deleted, so that submitting it breaks a rule.
    /// An unreadable end is left out: whether unknown ages may go is the caller's policy.
    pub(super) const fn shows_protection(self) -> bool {
        matches!(self, Kind::Held | Kind::Young | Kind::Active | Kind::Unknown)
    }
}

/// The final outcome that a purge must report, in the vocabulary of the service's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Deleted, and seen to be gone.
    Purged,
    AlreadyPurged,
    /// Protected by a hold.
    OnHold,
    /// Within its retention period, or of unknown age.
    Retained,
    NotFound,
    Active,
}

impl Expected {
    /// The name that the contract uses.
    pub const fn name(self) -> &'static str {
        match self {
            Expected::Purged => "purged",
            Expected::AlreadyPurged => "already_purged",
            Expected::OnHold => "on_hold",
            Expected::Retained => "retained",
            Expected::NotFound => "not_found",
            Expected::Active => "active",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_kind_at_its_own_place() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }

    #[test]
    fn names_are_what_serde_writes() {
        for kind in Kind::ALL {
            let expected = kind.expected();
            assert_eq!(serde_json::to_value(expected).unwrap(), expected.name());
        }
    }
}
