//! The worlds that are searched: the whole one, and smaller ones in which more can go wrong in one run.

use super::state::{Set, World};

const EVERYTHING: World =
    World { lacks: Set(0), lists_gone: Set(0), secret: Set(0), disturbances: 0, goes_back: false };

/// Two purges, one of which names both ids, the other one only the first.
pub const WHOLE: World = World { lacks: Set(0b11000), lists_gone: Set(0b11), disturbances: 1, ..EVERYTHING };

/// Two purges of one id, which upstream lists once it is deleted.
pub const SHARED: World = World { lacks: Set(0b11010), lists_gone: Set(0b1), disturbances: 2, ..EVERYTHING };

/// Two purges of one id, which upstream leaves out once it is deleted.
pub const UNLISTED: World = World { lists_gone: Set(0), disturbances: 1, ..SHARED };

/// One purge of two ids; upstream lists the second once it is deleted, and leaves the first out.
pub const BATCH: World = World { lacks: Set(0b11100), lists_gone: Set(0b10), disturbances: 2, ..EVERYTHING };

/// One purge of one id, which upstream leaves out once it is deleted.
pub const ONE: World = World { lacks: Set(0b11110), disturbances: 3, ..EVERYTHING };

/// One purge of four ids, of which upstream protects these and does not say which.
pub const fn searched(secret: u8, disturbances: usize) -> World {
    World { lacks: Set(0b100), lists_gone: Set(0b1111), secret: Set(secret), disturbances, ..EVERYTHING }
}

/// The same, and the database may go back to any earlier state, which is one of so many disturbances.
pub const fn back(world: World, disturbances: usize) -> World {
    World { goes_back: true, disturbances, ..world }
}
