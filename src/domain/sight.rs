//! Whether an answer proves anything about the ids that it leaves out.
//!
//! A client that lost access, for example to a division, gets answers that are valid, complete and empty, so that
//! everything looks gone. So each query includes a control, a conversation that is known to exist: an answer that
//! leaves it out too proves nothing.
//!
//! Somebody else may delete a control. So a control that is missing repeatedly is dropped if one of the answers
//! without it showed other conversations; if none did, the org counts as blind until an answer shows something.

use serde::Deserialize;
use uuid::Uuid;

/// So many controls of an org are known at a time: one in use, one to spare.
pub const CONTROLS: usize = 2;

/// So many answers that lack a control say something.
const MISSES: u32 = 3;

/// A conversation that was seen in a recent answer, that no job of the org may delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Control {
    pub id: Uuid,
    /// So many answers lacked it since it was seen last.
    pub missed: u32,
    /// One of them showed others.
    pub is_missed_alone: bool,
}

/// How an answer that calls itself whole showed its control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Present,
    /// Upstream knows it, and calls it deleted: it will be forgotten there sooner or later.
    Gone,
    /// The answer leaves it out.
    Missing {
        /// It shows others.
        are_others_shown: bool,
    },
    /// Upstream refused the call as wrong, perhaps because of it.
    Refused,
}

/// What becomes of a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was seen: what was missing before it is not needed any more.
    Seen,
    Missed {
        /// While others were shown, now or before.
        alone: bool,
    },
    Forgotten,
}

impl Shown {
    /// What else the answer leaves out was left out by an upstream that shows us what there is.
    pub const fn is_proof(self) -> bool {
        match self {
            Self::Present | Self::Gone => true,
            Self::Missing { .. } | Self::Refused => false,
        }
    }
}

impl Control {
    /// What becomes of it when it is shown so.
    pub const fn fate(self, shown: Shown) -> Fate {
        let is_missed_alone = match shown {
            Shown::Present => return Fate::Seen,
            Shown::Gone => return Fate::Forgotten,
            Shown::Missing { are_others_shown } => are_others_shown || self.is_missed_alone,
            // Whether it is the reason or not: it is of no use.
            Shown::Refused => true,
        };
        if !is_missed_alone {
            return Fate::Missed { alone: false };
        }
        // The client did see something: somebody else has deleted it, or upstream has no record of it any more.
        if self.missed + 1 >= MISSES { Fate::Forgotten } else { Fate::Missed { alone: true } }
    }
}

/// Whether an answer says, with those before it, that the org sees nothing any more. `controls`: all that are known.
pub fn is_blind(shown: Shown, controls: &[Control]) -> bool {
    let missed: u32 = controls.iter().map(|control| control.missed).sum();
    matches!(shown, Shown::Missing { are_others_shown: false })
        && missed >= MISSES
        && controls.iter().all(|control| control.missed > 0 && !control.is_missed_alone)
}

/// The control that rides along with a call about these ids: the one that was missed least. One that the call asks about
/// anyway takes no room.
pub fn choose(controls: &[Control], asked: &[Uuid], has_room: bool) -> Option<Control> {
    let is_asked = |control: &&Control| asked.contains(&control.id);
    let beside = controls.iter().filter(|control| has_room && !is_asked(control));
    let among = controls.iter().filter(is_asked);
    beside.chain(among).min_by_key(|control| control.missed).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: Shown = Shown::Missing { are_others_shown: false };
    const MISSING_BESIDE_OTHERS: Shown = Shown::Missing { are_others_shown: true };

    fn control(id: u128, missed: u32) -> Control {
        Control { id: Uuid::from_u128(id), missed, is_missed_alone: false }
    }

    fn controls(missed: &[u32]) -> Vec<Control> {
        (1..).zip(missed).map(|(id, &missed)| control(id, missed)).collect()
    }

    #[test]
    fn an_answer_proves_something_only_if_it_shows_its_control() {
        let table = [
            (Shown::Present, true),
            (Shown::Gone, true),
            (MISSING, false),
            (MISSING_BESIDE_OTHERS, false),
            (Shown::Refused, false),
        ];
        for (shown, expected) in table {
            assert_eq!(shown.is_proof(), expected, "{shown:?}");
        }
    }

    #[test]
    fn a_control_is_forgotten_when_it_is_gone_or_often_missing_where_others_are_seen() {
        use Fate::{Forgotten, Missed, Seen};
        let (alone, not_alone) = (Missed { alone: true }, Missed { alone: false });
        let forgotten_at_last = [alone, alone, Forgotten, Forgotten];
        let table = [
            (Shown::Present, false, [Seen; 4]),
            (Shown::Present, true, [Seen; 4]),
            (Shown::Gone, false, [Forgotten; 4]),
            (Shown::Gone, true, [Forgotten; 4]),
            // Nothing at all is seen: that may be blindness, however long it lasts.
            (MISSING, false, [not_alone; 4]),
            (MISSING, true, forgotten_at_last),
            (MISSING_BESIDE_OTHERS, false, forgotten_at_last),
            (MISSING_BESIDE_OTHERS, true, forgotten_at_last),
            (Shown::Refused, false, forgotten_at_last),
            (Shown::Refused, true, forgotten_at_last),
        ];
        for (shown, is_missed_alone, expected) in table {
            for (missed, expected) in (0..).zip(expected) {
                let control = Control { is_missed_alone, ..control(1, missed) };
                assert_eq!(control.fate(shown), expected, "{shown:?} {control:?}");
            }
        }
    }

    #[test]
    fn an_org_is_blind_when_three_answers_lacked_all_that_is_known() {
        let table: [(&[u32], bool); 10] = [
            (&[], false),
            (&[0], false),
            (&[2], false),
            (&[3], true),
            (&[9, 0], false),
            (&[0, 9], false),
            (&[1, 1], false),
            (&[2, 1], true),
            (&[1, 2], true),
            (&[3, 3], true),
        ];
        for (missed, expected) in table {
            assert_eq!(is_blind(MISSING, &controls(missed)), expected, "{missed:?}");
            // Whoever sees something is not blind.
            for shown in [Shown::Present, Shown::Gone, MISSING_BESIDE_OTHERS, Shown::Refused] {
                assert!(!is_blind(shown, &controls(missed)), "{shown:?} {missed:?}");
            }
            // Nor is who saw something while one of them was missing already.
            for place in 0..missed.len() {
                let mut controls = controls(missed);
                controls[place].is_missed_alone = true;
                assert!(!is_blind(MISSING, &controls), "{controls:?}");
            }
        }
    }

    #[test]
    fn the_control_that_was_missed_least_rides_along_where_there_is_room() {
        /// Misses, ids asked about, whether there is room, and the id that rides along.
        type Case = (&'static [u32], &'static [u128], bool, Option<u128>);
        let id = Uuid::from_u128;
        let table: [Case; 10] = [
            (&[], &[7], true, None),
            (&[0, 0], &[7], true, Some(1)),
            (&[1, 0], &[7], true, Some(2)),
            (&[3, 2], &[7], true, Some(2)),
            (&[0, 0], &[7], false, None),
            // What is asked about anyway needs no room, and is asked for itself only where nothing better is known.
            (&[0, 0], &[7, 1], false, Some(1)),
            (&[0, 0], &[7, 1], true, Some(2)),
            (&[0, 1], &[7, 1], true, Some(1)),
            (&[0, 0], &[2, 1], true, Some(1)),
            (&[2, 0], &[2, 1], false, Some(2)),
        ];
        for (missed, asked, has_room, expected) in table {
            let asked: Vec<Uuid> = asked.iter().copied().map(id).collect();
            let chosen = choose(&controls(missed), &asked, has_room).map(|control| control.id);
            assert_eq!(chosen, expected.map(id), "{missed:?} {asked:?} {has_room}");
        }
    }
}
