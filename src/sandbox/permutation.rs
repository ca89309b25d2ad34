//! Keyed bijections of `0..=last`: how a million ids and their kinds come from a seed without being stored.
//!
//! Invariant: a permutation is stateless; the same key and size give the same order for ever.

const ROUNDS: usize = 4;

/// A bijection of `0..=last` onto itself: a Feistel network over the next even power of two, walked until it lands
/// inside. Good enough to look random; nothing here is a secret.
#[derive(Debug, Clone)]
pub(super) struct Permutation {
    keys: [u64; ROUNDS],
    half_bits: u32,
    last: u64,
}

impl Permutation {
    pub(super) fn new(last: u64, key: u64) -> Self {
        let bits = (u64::BITS - last.leading_zeros()).max(2);
        let mut keys = [0; ROUNDS];
        let mut state = key;
        for slot in &mut keys {
            state = mix(state);
            *slot = state;
        }
        Self { keys, half_bits: bits.div_ceil(2), last }
    }

    /// Where `value` goes. `value` must not exceed `last`.
    pub(super) fn forward(&self, value: u64) -> u64 {
        let mut value = self.round_trip(value, false);
        while value > self.last {
            value = self.round_trip(value, false);
        }
        value
    }

    /// Where `value` came from. `value` must not exceed `last`.
    pub(super) fn back(&self, value: u64) -> u64 {
        let mut value = self.round_trip(value, true);
        while value > self.last {
            value = self.round_trip(value, true);
        }
        value
    }

    fn round_trip(&self, value: u64, reverse: bool) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        if reverse {
            for key in self.keys.iter().rev() {
                (left, right) = (right ^ (mix(left ^ key) & mask), left);
            }
        } else {
            for key in &self.keys {
                (left, right) = (right, left ^ (mix(right ^ key) & mask));
            }
        }
        (left << self.half_bits) | right
    }
}

/// Scatters the bits of a number: one input, one output, nothing lost. The finalizer of splitmix64.
pub(super) const fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_size_is_permuted_without_loss_and_back() {
        for last in [0, 1, 2, 3, 6, 7, 8, 99, 1000, 4095, 4096] {
            let permutation = Permutation::new(last, 7);
            let seen: HashSet<u64> = (0..=last).map(|value| permutation.forward(value)).collect();
            assert_eq!(seen.len() as u64, last + 1, "last {last}");
            assert!(seen.iter().all(|value| *value <= last));
            assert!((0..=last).all(|value| permutation.back(permutation.forward(value)) == value));
        }
    }

    #[test]
    fn the_whole_range_of_64_bits_works_too() {
        let permutation = Permutation::new(u64::MAX, 7);
        for value in [0, 1, 2, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            assert_eq!(permutation.back(permutation.forward(value)), value);
        }
    }

    #[test]
    fn another_key_gives_another_order() {
        let (one, two) = (Permutation::new(999, 1), Permutation::new(999, 2));
        let same = (0..1000).filter(|value| one.forward(*value) == two.forward(*value)).count();
        assert!(same < 20, "{same} values stayed");
    }
}
