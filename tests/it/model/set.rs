//! The size of the world, and sets of what is in it.

/// Ids of the world.
pub const IDS: usize = 4;

/// Which purge each conversation is of, and which id it names.
pub const NAMES: [(usize, usize); 5] = [(0, 0), (0, 1), (1, 0), (0, 2), (0, 3)];

/// Unfinished jobs of the world: each id is in one at most.
pub const JOBS: usize = IDS;

/// Live upstream jobs that the org may have.
pub const SLOTS: usize = 1;

/// Steps that are under way at the same time.
pub const REPLICAS: usize = 2;

/// Numbers of ids or of conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Set(pub u8);

impl Set {
    pub const fn has(self, number: usize) -> bool {
        self.0 >> number & 1 == 1
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub const fn insert(&mut self, number: usize) {
        self.0 |= 1 << number;
    }

    pub const fn remove(&mut self, number: usize) {
        self.0 &= !(1 << number);
    }

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |&number| self.has(number))
    }

    /// The conversations, or ids, of which this is so.
    pub fn of(numbers: usize, is_so: impl Fn(usize) -> bool) -> Self {
        let mut set = Self::default();
        (0..numbers).filter(|&number| is_so(number)).for_each(|number| set.insert(number));
        set
    }
}
