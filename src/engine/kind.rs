//! The kinds of steps that a dispatcher launches.

use crate::genesys::Lane;
use crate::store::orgs::limiter::Call;

/// The kinds of steps, in the order of their worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Submit,
    Poll,
    Look,
    Validate,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Submit, Self::Poll, Self::Look, Self::Validate];

    pub(super) const fn call(self) -> Call {
        match self {
            Self::Submit => Call::Submit,
            Self::Poll => Call::Poll,
            Self::Look | Self::Validate => Call::Details,
        }
    }

    /// The connections that its calls take.
    pub(super) const fn lane(self) -> Lane {
        match self {
            Self::Submit => Lane::Submit,
            Self::Poll | Self::Look | Self::Validate => Lane::Query,
        }
    }

    /// It starts new work; the others follow running work to its end.
    pub(super) const fn begins(self) -> bool {
        matches!(self, Self::Submit | Self::Validate)
    }
}
