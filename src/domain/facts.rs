//! What upstream says about a conversation, independent of the wire format.

use jiff::Timestamp;

/// What a whole, well-formed answer said of one conversation that it contained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whether the conversation still exists and may be touched.
    pub presence: Presence,
    pub end: End,
}

/// Whether upstream still has a conversation, and whether it protects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Upstream says that it is deleted or purged.
    Gone,
    /// A legal hold of upstream protects it, or a mark that can't be read as "no hold".
    Held,
    /// It exists and nothing at upstream protects it.
    Present,
}

/// When a conversation ended, as far as upstream tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// No end is given: it has not ended, whatever its status says.
    NotYet,
    At(Timestamp),
    /// An end is given that can't be read: its age is unknown.
    Unreadable,
    /// What is given of its start and end can't be read or makes no sense: its age is unknown, but it did not end
    /// before this.
    Unsure(Timestamp),
}
