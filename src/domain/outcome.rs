//! The outcome of a conversation, and the byte in which a slice stores it.
//!
//! The low four bits are the outcome, which is the fold of the decisions; the high four are marks, which are not.

use super::words::words;

words! {
    /// What became of one conversation of a purge.
    Outcome, "outcome" {
        Pending = "pending",
        /// May be submitted, as far as is known.
        Eligible = "eligible",
        /// Named by an intent; its fate is open.
        Submitted = "submitted",
        /// Deleted by this purge, and seen to be gone.
        Purged = "purged",
        /// Gone before any job of this purge carried it.
        AlreadyPurged = "already_purged",
        /// A legal hold protects it.
        OnHold = "on_hold",
        /// Its retention period has not expired, or its age is unknown.
        Retained = "retained",
        /// Upstream does not know it.
        NotFound = "not_found",
        /// It has not ended.
        Active = "active",
        /// Should have been purged and was not.
        Failed = "failed",
        /// The purge was canceled before it was submitted.
        Canceled = "canceled",
        /// Dry runs only: it would have been submitted.
        WouldPurge = "would_purge",
    }
}

impl Outcome {
    /// The number that stands for it in a slice's bytes and in decision rows.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The outcome that a number stands for.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Nothing changes it any more, except a retry.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Eligible | Self::Submitted)
    }

    /// Says that the conversation is there and stays, or was never there.
    pub const fn keeps(self) -> bool {
        matches!(self, Self::OnHold | Self::Retained | Self::Active | Self::NotFound)
    }

    /// Final, and not because it is gone.
    pub const fn ended_otherwise(self) -> bool {
        self.is_final() && !matches!(self, Self::Purged | Self::AlreadyPurged)
    }

    /// Whether a decision may lead from this outcome to `to`.
    pub const fn may_become(self, to: Self) -> bool {
        use Outcome::{Eligible, Failed, OnHold, Pending, Purged, Submitted, WouldPurge};
        match self {
            Pending => !matches!(to, Pending | Submitted),
            // A conflict has eligible ids looked at afresh, so anything that validation finds may follow.
            Eligible => !matches!(to, Eligible | WouldPurge),
            Submitted => matches!(to, Eligible | Purged | OnHold | Failed),
            // A retry.
            Failed => matches!(to, Pending),
            _ => false,
        }
    }
}

/// What is remembered of a conversation beside its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks(u8);

impl Marks {
    pub const NONE: Self = Self(0);
    /// A job of this purge has carried it and may have deleted it.
    pub const CARRIED: Self = Self(0x10);
    /// One whole answer left it out.
    pub const ABSENT: Self = Self(0x20);
    /// A job of this purge has reserved it.
    pub const RESERVED: Self = Self(0x40);
    /// A job of another purge has reserved it; it waits for that job.
    pub const ELSEWHERE: Self = Self(0x80);

    /// As they stand in a conversation's byte.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// All marks of `other` are set in this.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// One conversation's byte in its slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What became of it.
    pub outcome: Outcome,
    /// What is remembered beside.
    pub marks: Marks,
}

impl Cell {
    /// A conversation that was just accepted.
    pub const NEW: Self = Self { outcome: Outcome::Pending, marks: Marks::NONE };

    /// Reads a byte; `None` where its low bits stand for no outcome.
    pub fn from_byte(byte: u8) -> Option<Self> {
        let outcome = Outcome::from_code(byte & 0x0f)?;
        Some(Self { outcome, marks: Marks(byte & 0xf0) })
    }

    /// Reads all bytes of a slice; the error tells of the first that can't be read.
    pub fn read(bytes: &[u8]) -> Result<Vec<Self>, UnreadableByte> {
        let cells = bytes
            .iter()
            .enumerate()
            .map(|(position, &byte)| Self::from_byte(byte).ok_or(UnreadableByte { position, byte }));
        cells.collect()
    }

    /// The byte to store.
    pub const fn to_byte(self) -> u8 {
        self.outcome.code() | self.marks.0
    }

    /// A job could take it now.
    pub const fn is_drawable(self) -> bool {
        matches!(self.outcome, Outcome::Eligible)
            && !self.marks.has(Marks::RESERVED)
            && !self.marks.has(Marks::ELSEWHERE)
    }
}

/// A byte of a slice that stands for no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the outcome byte at position {position} is {byte:#04x}, which is not an outcome")]
pub struct UnreadableByte {
    position: usize,
    byte: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_and_every_mark_survives_its_byte() {
        for (number, &outcome) in Outcome::ALL.iter().enumerate() {
            for marks in 0..16u8 {
                let cell = Cell { outcome, marks: Marks(marks << 4) };
                assert_eq!(Cell::from_byte(cell.to_byte()), Some(cell));
                assert_eq!(usize::from(outcome.code()), number);
            }
        }
        assert_eq!(Cell::from_byte(0x0c), None);
        assert_eq!(Cell::read(&[0x00, 0x41]).map(|cells| cells.len()), Ok(2));
        let unreadable = Cell::read(&[0x00, 0x0f, 0x0e]).unwrap_err();
        let told = "the outcome byte at position 1 is 0x0f, which is not an outcome";
        assert_eq!(unreadable.to_string(), told);
        assert_eq!(Cell::from_byte(0xff), None);
    }

    #[test]
    fn final_outcomes_stay_except_that_a_retry_takes_up_failed_ones() {
        for &from in Outcome::ALL.iter().filter(|outcome| outcome.is_final()) {
            for &to in Outcome::ALL {
                assert_eq!(
                    from.may_become(to),
                    from == Outcome::Failed && to == Outcome::Pending,
                    "{from} -> {to}"
                );
            }
        }
    }

    #[test]
    fn only_an_eligible_conversation_is_submitted_and_only_a_submitted_or_carried_one_is_purged() {
        for &from in Outcome::ALL {
            let may_be_carried = [Outcome::Pending, Outcome::Eligible, Outcome::Submitted];
            assert_eq!(from.may_become(Outcome::Purged), may_be_carried.contains(&from), "{from}");
            assert_eq!(from.may_become(Outcome::Submitted), from == Outcome::Eligible, "{from}");
            assert_eq!(from.may_become(Outcome::WouldPurge), from == Outcome::Pending, "{from}");
        }
        assert!(!Outcome::Submitted.may_become(Outcome::AlreadyPurged));
        assert!(!Outcome::Submitted.may_become(Outcome::NotFound));
        assert!(
            !Outcome::Submitted.may_become(Outcome::Pending),
            "what a job carries is never as if it were new"
        );
    }

    #[test]
    fn a_reserved_or_elsewhere_reserved_conversation_is_not_drawn() {
        let eligible = Cell { outcome: Outcome::Eligible, marks: Marks::CARRIED };
        assert!(eligible.is_drawable());
        for mark in [Marks::RESERVED, Marks::ELSEWHERE] {
            assert!(!Cell { marks: eligible.marks.with(mark), ..eligible }.is_drawable());
        }
        assert!(!Cell::NEW.is_drawable());
    }
}
