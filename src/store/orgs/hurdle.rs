//! What blocks an org, and how the database spells it.

use super::limiter::Call;

/// What blocks an org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hurdle {
    /// Upstream refuses this kind of call; one that succeeds lifts the block.
    Call(Call),
    /// The clocks disagree; a validation in which they agree lifts the block.
    Clock,
    /// Answers lack what is known to exist; one that shows it lifts the block.
    Sight,
    /// Upstream protects too much that our checks do not find; a job that it takes as it was packed lifts the block.
    Conflicts,
}

impl Hurdle {
    /// Its spelling in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call(call) => call.as_str(),
            Self::Clock => "clock",
            Self::Sight => "sight",
            Self::Conflicts => "conflicts",
        }
    }
}

/// The hurdles under which nothing can be judged: facts can't be queried or trusted, or clocks disagree.
pub(in crate::store) fn blocks_facts(hurdle: &str) -> bool {
    [Hurdle::Clock, Hurdle::Sight, Hurdle::Call(Call::Details)].iter().any(|facts| facts.as_str() == hurdle)
}
