//! Which conversations exist and of which kind each is: computed from the seed and an index, never stored.
//!
//! Invariant: the counts of the kinds are exact (largest remainder), and an id leads back to its index without a table.

use std::array;

use uuid::Uuid;

use super::kinds::Kind;
use super::permutation::{Permutation, mix};
use super::settings::{Settings, Shares};

/// All ids of one seed, and their kinds.
#[derive(Debug)]
pub(super) struct Population {
    size: u32,
    codes: Permutation,
    tag_key: u64,
    ranks: Permutation,
    /// The conversations of the kind at place `k` have the ranks `bounds[k - 1]..bounds[k]`.
    bounds: [u32; Kind::COUNT],
    portrait_key: u64,
}

impl Population {
    pub(super) fn new(settings: &Settings) -> Self {
        let size = settings.conversations;
        let counts = apportion(size, &settings.shares);
        let mut below = 0;
        let bounds = array::from_fn(|place| {
            below += counts[place];
            below
        });
        let key = |use_of: u64| mix(settings.seed ^ mix(use_of));
        Self {
            size,
            codes: Permutation::new(u64::MAX, key(1)),
            tag_key: key(2),
            ranks: Permutation::new(u64::from(size.saturating_sub(1)), key(3)),
            bounds,
            portrait_key: key(4),
        }
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// How many conversations of each kind there are, in the order of [`Kind::ALL`].
    pub(super) fn counts(&self) -> [u32; Kind::COUNT] {
        array::from_fn(|place| self.bounds[place] - if place == 0 { 0 } else { self.bounds[place - 1] })
    }

    /// The id at an index: a version 4 UUID to whoever looks at it.
    pub(super) fn id(&self, index: u32) -> Uuid {
        let code = self.codes.forward(u64::from(index));
        let value = (u128::from(code) << 58) | u128::from(self.tag(code));
        let (top, middle, bottom) = (value >> 74, (value >> 62) & 0xfff, value & ((1 << 62) - 1));
        Uuid::from_u128((top << 80) | (4 << 76) | (middle << 64) | (2 << 62) | bottom)
    }

    /// The index of an id, if it is one of this population.
    pub(super) fn index(&self, id: Uuid) -> Option<u32> {
        let raw = id.as_u128();
        if (raw >> 76) & 0xf != 4 || (raw >> 62) & 0b11 != 2 {
            return None;
        }
        let value = ((raw >> 80) << 74) | (((raw >> 64) & 0xfff) << 62) | (raw & ((1 << 62) - 1));
        let code = u64::try_from(value >> 58).ok()?;
        if u128::from(self.tag(code)) != value & ((1 << 58) - 1) {
            return None;
        }
        u32::try_from(self.codes.back(code)).ok().filter(|index| *index < self.size)
    }

    /// The kind that the seed gave to an index below [`Population::size`].
    pub(super) fn kind(&self, index: u32) -> Kind {
        let rank = self.ranks.forward(u64::from(index));
        let place = self.bounds.partition_point(|bound| u64::from(*bound) <= rank);
        Kind::ALL[place.min(Kind::COUNT - 1)]
    }

    /// A number of its own for each index, from which its looks are drawn.
    pub(super) fn grain(&self, index: u32) -> u64 {
        mix(self.portrait_key ^ u64::from(index))
    }

    /// 58 bits that tie a code to this population: an id that was made up elsewhere does not lead to an index.
    fn tag(&self, code: u64) -> u64 {
        mix(code ^ self.tag_key) >> 6
    }
}

/// Shares `size` out by largest remainder; equal remainders go to the earlier kind.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "settings are checked: each quota lies between 0 and a u32"
)]
fn apportion(size: u32, shares: &Shares) -> [u32; Kind::COUNT] {
    let weights = Kind::ALL.map(|kind| shares.of(kind));
    let sum: f64 = weights.iter().sum();
    let quotas = weights.map(|weight| f64::from(size) * weight / sum);
    let mut counts = quotas.map(|quota| quota.floor() as u32);
    let mut places: [usize; Kind::COUNT] = array::from_fn(|place| place);
    places.sort_by(|a, b| quotas[*b].fract().total_cmp(&quotas[*a].fract()));
    let missing = size.saturating_sub(counts.iter().sum());
    for place in places.into_iter().cycle().filter(|place| weights[*place] > 0.0).take(missing as usize) {
        counts[place] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn population(conversations: u32, seed: u64) -> Population {
        Population::new(&Settings { seed, conversations, ..Settings::default() })
    }

    #[test]
    fn the_counts_are_exact_and_are_what_the_indexes_say() {
        for conversations in [0, 1, 2, 10, 999, 10_000] {
            let population = population(conversations, 5);
            let mut seen = [0; Kind::COUNT];
            for index in 0..conversations {
                seen[population.kind(index) as usize] += 1;
            }
            assert_eq!(seen, population.counts(), "{conversations} conversations");
            assert_eq!(seen.iter().sum::<u32>(), conversations);
        }
    }

    #[test]
    fn remainders_go_to_the_largest() {
        let none = Shares { eligible: 0.0, ..Shares::none() };
        let shares = Shares { eligible: 0.5, held: 0.3, young: 0.2, ..none };
        let counts = |size| apportion(size, &shares)[..3].to_vec();
        assert_eq!(counts(10), [5, 3, 2]);
        assert_eq!(counts(11), [6, 3, 2], "5.5, 3.3, 2.2");
        assert_eq!(counts(14), [7, 4, 3], "7.0, 4.2, 2.8");
    }

    #[test]
    fn a_third_is_not_eligible_by_default_and_one_in_five_hundred_conflicts() {
        let counts = population(1_000_000, 1).counts();
        assert_eq!(counts[Kind::Eligible as usize], 665_000);
        assert_eq!(counts[Kind::ConflictNamed as usize] + counts[Kind::ConflictUnnamed as usize], 2000);
    }

    #[test]
    fn ids_are_distinct_lead_back_and_look_like_version_four() {
        let population = population(20_000, 9);
        let ids: HashSet<Uuid> = (0..20_000).map(|index| population.id(index)).collect();
        assert_eq!(ids.len(), 20_000);
        for index in 0..20_000 {
            let id = population.id(index);
            assert_eq!(population.index(id), Some(index));
            assert_eq!((id.get_version_num(), id.get_variant()), (4, uuid::Variant::RFC4122));
        }
    }

    #[test]
    fn ids_of_other_seeds_other_sizes_and_made_up_ones_are_strangers() {
        let (mine, other) = (population(100, 1), population(100, 2));
        assert_eq!(mine.index(other.id(3)), None);
        assert_eq!(mine.index(population(200, 1).id(150)), None, "beyond the size");
        assert_eq!(mine.index(Uuid::nil()), None);
        assert_eq!(mine.index(Uuid::from_u128(mine.id(3).as_u128() ^ 1)), None);
        assert_eq!(mine.index(Uuid::from_u128(mine.id(3).as_u128() ^ (1 << 76))), None, "version 5");
    }

    #[test]
    fn one_seed_gives_one_population() {
        assert_eq!(population(50, 3).id(49), population(50, 3).id(49));
        assert_ne!(population(50, 3).id(49), population(50, 4).id(49));
    }
}
