//! How a job is shared out among the purges that wait: group commit for deletions.

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
