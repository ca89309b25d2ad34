//! Slices: the rows in which the outcomes of conversations live.

mod aside;
mod choose;
pub mod claim;
pub mod expire;
pub(super) mod milestones;
pub(super) mod patch;
mod patch_write;
mod purge_rows;
pub(super) use patch_write::array_literal;
pub mod validated;

use uuid::Uuid;

/// Names one slice. Their order is the lock order of slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SliceKey {
    pub purge: Uuid,
    /// Its number in the purge, from 0.
    pub no: i32,
}

/// Names one conversation by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub slice: SliceKey,
    /// The position in it, from 0.
    pub position: usize,
}

/// Splits an ordinal in its purge into slice number and position.
pub(super) fn locate(ordinal: i32) -> (i32, usize) {
    let size = i32::try_from(crate::domain::SLICE_SIZE).unwrap_or(i32::MAX);
    (ordinal / size, usize::try_from(ordinal % size).unwrap_or_default())
}
