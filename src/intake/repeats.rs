//! Which ids of an upload are repeats of an earlier one: one bit per id.
//!
//! Invariant: ids are known here only by their number in the upload, never by their value.

const WORD: usize = u64::BITS as usize;
/// How many words stand between two sums: 512 ids.
const STRIDE: usize = 8;

/// Marks of repeats, while they are still being found.
#[derive(Debug, Default)]
pub(super) struct Marks {
    words: Vec<u64>,
}

impl Marks {
    /// Notes that the id with this number is a repeat.
    pub(super) fn mark(&mut self, number: u32) {
        let word = number as usize / WORD;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit(number);
    }

    /// Ends the marking, for an upload of so many ids.
    pub(super) fn rank(mut self, received: u32) -> Repeats {
        self.words.resize((received as usize).div_ceil(WORD), 0);
        let mut sum = 0;
        let mut sums = Vec::with_capacity(self.words.len().div_ceil(STRIDE));
        for stride in self.words.chunks(STRIDE) {
            sums.push(sum);
            sum += ones(stride);
        }
        Repeats { words: self.words, sums, count: sum }
    }
}

/// The repeats of a whole upload, and how many of them come before any id.
#[derive(Debug)]
pub(super) struct Repeats {
    words: Vec<u64>,
    /// For each run of [`STRIDE`] words: how many repeats come before it.
    sums: Vec<u32>,
    count: u32,
}

impl Repeats {
    /// How many ids are repeats.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Whether the id with this number is a repeat.
    pub(super) fn contains(&self, number: u32) -> bool {
        self.words[number as usize / WORD] & bit(number) != 0
    }

    /// Where the id with this number, itself no repeat, stands among those that are none.
    pub(super) fn ordinal(&self, number: u32) -> u32 {
        let word = number as usize / WORD;
        let stride = word / STRIDE;
        let within =
            ones(&self.words[stride * STRIDE..word]) + (self.words[word] & (bit(number) - 1)).count_ones();
        number - self.sums[stride] - within
    }
}

fn bit(number: u32) -> u64 {
    1 << (number % u64::BITS)
}

fn ones(words: &[u64]) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_ordinal_of_an_id_is_how_many_first_occurrences_come_before_it(
            repeats in prop::collection::vec(prop::bool::weighted(0.3), 1..3000),
        ) {
            let mut marks = Marks::default();
            let mut marked = 0;
            // From the end, so that the marks grow in no convenient order.
            for number in (0..repeats.len()).rev().filter(|&number| repeats[number]) {
                marks.mark(u32::try_from(number)?);
                marked += 1;
            }
            let ranked = marks.rank(u32::try_from(repeats.len())?);
            prop_assert_eq!(ranked.count(), marked);
            let mut ordinal = 0;
            for (number, &repeat) in (0_u32..).zip(&repeats) {
                prop_assert_eq!(ranked.contains(number), repeat);
                if !repeat {
                    prop_assert_eq!(ranked.ordinal(number), ordinal);
                    ordinal += 1;
                }
            }
        }
    }
}
