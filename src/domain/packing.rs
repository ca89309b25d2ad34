//! How a job, or a details query, is shared among the waiting purges: group commit for deletions.

use std::collections::HashSet;
use std::hash::Hash;

/// So many purges stand in line for one job.
pub const CANDIDATES: usize = 200;

/// What each candidate gives to a job of `max_batch`; `drawable` are the candidates' numbers in the order of their
/// turn.
///
/// In the first round each gives up to max(50, `max_batch` / candidates), so that small purges leave whole; what is
/// left over goes round again, so that the job is full whenever enough is there.
pub fn shares(drawable: &[usize], max_batch: usize) -> Vec<usize> {
    let candidates = &drawable[..drawable.len().min(CANDIDATES)];
    let mut taken = vec![0; candidates.len()];
    let mut room = max_batch;
    let share = (max_batch / candidates.len().max(1)).max(50);
    while room > 0 {
        let before = room;
        for (taken, &drawable) in taken.iter_mut().zip(candidates) {
            let take = share.min(drawable - *taken).min(room);
            *taken += take;
            room -= take;
        }
        if room == before {
            break;
        }
    }
    taken
}

/// Which ids a question is about: of each purge up to its share, then whatever there is `room` for. An id takes room once,
/// however many purges brought it.
///
/// `slices` are the ids of each slice with the turn of its purge, in the order of the turns.
pub fn ids_to_ask<Id: Copy + Eq + Hash>(
    slices: &[(usize, Vec<Id>)],
    shares: &[usize],
    room: usize,
) -> HashSet<Id> {
    let mut asked = HashSet::new();
    let mut left = shares.to_vec();
    for (turn, ids) in slices {
        let Some(left) = left.get_mut(*turn) else { continue };
        for id in ids {
            if *left > 0 && asked.len() < room && asked.insert(*id) {
                *left -= 1;
            }
        }
    }
    for id in slices.iter().flat_map(|(_, ids)| ids) {
        if asked.len() >= room {
            break;
        }
        asked.insert(*id);
    }
    asked
}

/// Cuts a batch into two halves, the first never smaller; a single id can't be cut.
pub fn halves<T>(batch: &[T]) -> Option<(&[T], &[T])> {
    (batch.len() > 1).then(|| batch.split_at(batch.len().div_ceil(2)))
}

/// How many slots jobs that a conflict split off may take while anything else can be packed: at most half
/// of all slots, and at least one.
pub fn slots_for_children(slots: usize, taken_by_children: usize, can_pack_others: bool) -> usize {
    if !can_pack_others {
        return slots;
    }
    (slots / 2).max(1).saturating_sub(taken_by_children)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_purges_leave_whole_and_the_job_is_full() {
        let table: [(&[usize], usize, &[usize]); 8] = [
            (&[], 500, &[]),
            (&[3], 500, &[3]),
            (&[10_000_000, 10], 500, &[490, 10]),
            (&[10_000_000, 10_000_000], 500, &[250, 250]),
            (&[10, 10_000_000], 500, &[10, 490]),
            (&[600, 600, 3], 500, &[331, 166, 3]),
            (&[5; 3], 10, &[5, 5, 0]),
            (&[50, 100], 100, &[50, 50]),
        ];
        for (drawable, max_batch, expected) in table {
            assert_eq!(shares(drawable, max_batch), expected, "{drawable:?} into {max_batch}");
        }
        assert_eq!(shares(&[3; 300], 500).iter().filter(|&&take| take > 0).count(), 167);
    }

    proptest! {
        #[test]
        fn a_job_takes_no_more_than_there_is_and_is_full_if_it_can_be(
            drawable in prop::collection::vec(0usize..2000, 0..250), max_batch in 1usize..1000,
        ) {
            let taken = shares(&drawable, max_batch);
            let available: usize = drawable.iter().take(CANDIDATES).sum();
            prop_assert_eq!(taken.iter().sum::<usize>(), available.min(max_batch));
            prop_assert!(taken.iter().zip(&drawable).all(|(taken, drawable)| taken <= drawable));
        }
    }

    #[test]
    fn an_id_takes_room_once_and_what_is_left_of_it_is_filled_up() {
        let asked = |slices: &[(usize, Vec<u32>)], shares: &[usize], room| {
            let mut asked: Vec<u32> = ids_to_ask(slices, shares, room).into_iter().collect();
            asked.sort_unstable();
            asked
        };
        let large = |turn, first: u32| (turn, (first..first + 10).collect());
        assert_eq!(asked(&[large(0, 0), large(1, 100)], &[2, 2], 4), [0, 1, 100, 101]);
        assert_eq!(asked(&[large(0, 0), (1, vec![100])], &[2, 1], 5), [0, 1, 2, 3, 100]);
        let the_same = [(0, vec![7]), (1, vec![7]), (2, vec![7, 8, 9])];
        assert_eq!(asked(&the_same, &[1, 1, 1], 3), [7, 8, 9]);
        assert_eq!(asked(&[(0, vec![]), large(0, 0)], &[3], 3), [0, 1, 2], "over several slices of a purge");
        assert_eq!(asked(&[], &[], 3), [] as [u32; 0]);
    }

    #[test]
    fn halving_ends_with_single_ids() {
        assert_eq!(halves(&[1, 2, 3]), Some((&[1, 2][..], &[3][..])));
        assert_eq!(halves(&[1, 2]), Some((&[1][..], &[2][..])));
        assert_eq!(halves(&[1]), None);
        assert_eq!(halves::<u8>(&[]), None);
    }

    #[test]
    fn children_of_a_conflict_leave_half_the_slots_to_others() {
        let table =
            [(10, 0, true, 5), (10, 5, true, 0), (1, 0, true, 1), (1, 1, true, 0), (10, 7, false, 10)];
        for (slots, taken, others, expected) in table {
            assert_eq!(slots_for_children(slots, taken, others), expected);
        }
    }
}
