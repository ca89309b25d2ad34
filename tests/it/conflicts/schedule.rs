//! The search for offenders on paper: a batch of which upstream protects some and names none, and what each way to find
//! them costs. The sizes of pieces are those of the engine; what waits for what is told again here.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use genesys_purge::domain::packing::halves;
use genesys_purge::domain::search::{Seen, piece_size};

/// How the rest of a batch goes on whose first half was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Both halves are submitted, whatever is answered to the other.
    Halving,
    /// The second half waits for the answer to the first, and is cut without a call if that went through.
    Inferring,
    /// As the engine does it: nothing is known of a second half whose first conflicts, so that it waits for the end of the
    /// search and goes with all else that is unknown, in pieces by the share of offenders.
    Searching,
}

/// What the search runs on.
#[derive(Debug, Clone, Copy)]
pub struct Ground {
    pub conversations: usize,
    pub slots: usize,
    pub call_ms: u64,
    pub job_ms: u64,
}

/// What it costs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Submits, whatever was answered.
    pub calls: u64,
    /// Upstream jobs.
    pub jobs: u64,
    /// Until the last job ended.
    pub ms: u64,
}

/// Conversations that are submitted together, and the second half that waits for the answer.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    ids: Vec<usize>,
    rest: Option<Vec<usize>>,
}

/// What happens at upstream.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Answer(Piece),
    End,
}

struct Search<'a> {
    schedule: Schedule,
    ground: Ground,
    offenders: &'a HashSet<usize>,
    cost: Cost,
    seen: Seen,
    free_slots: usize,
    /// Calls under way.
    asked: usize,
    tried: Vec<Piece>,
    unknown: Vec<usize>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    judged: HashSet<usize>,
}

/// Searches a batch that was refused.
pub fn search(schedule: Schedule, ground: Ground, offenders: &HashSet<usize>) -> Cost {
    let mut search = Search {
        schedule,
        ground,
        offenders,
        // Refused, looked at afresh, and refused again.
        cost: Cost { calls: 2, jobs: 0, ms: 2 * ground.call_ms },
        seen: Seen::default(),
        free_slots: ground.slots,
        asked: 0,
        tried: Vec::new(),
        unknown: Vec::new(),
        events: BinaryHeap::new(),
        judged: HashSet::new(),
    };
    search.conflicts((0..ground.conversations).collect());
    loop {
        search.submit();
        let Some(Reverse((at, _, event))) = search.events.pop() else { break };
        search.cost.ms = at;
        match event {
            Event::Answer(piece) => search.answer(piece),
            Event::End => search.free_slots += 1,
        }
    }
    assert_eq!(search.judged.len(), ground.conversations, "each comes to its end");
    search.cost
}

impl Search<'_> {
    fn submit(&mut self) {
        while self.free_slots > 0 {
            let piece = match self.schedule {
                Schedule::Halving if !self.tried.is_empty() => self.tried.remove(0),
                _ => match self.tried.pop() {
                    Some(piece) => piece,
                    None if self.unknown.is_empty() || self.asked > 0 => return,
                    None => {
                        let size = piece_size(self.seen, self.ground.conversations);
                        let ids = self.unknown.drain(..size.min(self.unknown.len())).collect();
                        Piece { ids, rest: None }
                    }
                },
            };
            (self.free_slots, self.asked, self.cost.calls) =
                (self.free_slots - 1, self.asked + 1, self.cost.calls + 1);
            self.happens(self.ground.call_ms, Event::Answer(piece));
        }
    }

    fn happens(&mut self, in_ms: u64, event: Event) {
        self.events.push(Reverse((self.cost.ms + in_ms, self.cost.calls, event)));
    }

    fn answer(&mut self, piece: Piece) {
        self.asked -= 1;
        if piece.ids.iter().any(|id| self.offenders.contains(id)) {
            self.free_slots += 1;
            match (self.schedule, piece.rest) {
                (_, None) => {}
                (Schedule::Searching, Some(rest)) => self.unknown.extend(rest),
                (Schedule::Halving | Schedule::Inferring, Some(rest)) => {
                    self.tried.push(Piece { ids: rest, rest: None });
                }
            }
            if let [offender] = piece.ids[..] {
                self.seen.offenders += 1;
                assert!(self.judged.insert(offender), "judged once");
            } else {
                self.conflicts(piece.ids);
            }
        } else {
            self.cost.jobs += 1;
            self.seen.cleared += piece.ids.len();
            for id in piece.ids {
                assert!(self.judged.insert(id), "deleted once");
            }
            self.happens(self.ground.job_ms, Event::End);
            if let Some(rest) = piece.rest {
                self.conflicts(rest);
            }
        }
    }

    /// These conflict: they are cut, until one is left, which is submitted alone.
    fn conflicts(&mut self, ids: Vec<usize>) {
        let Some((first, second)) = halves(&ids) else {
            return self.tried.push(Piece { ids, rest: None });
        };
        let rest = Some(second.to_vec());
        match self.schedule {
            Schedule::Halving => {
                self.tried.push(Piece { ids: first.to_vec(), rest: None });
                self.tried.push(Piece { ids: second.to_vec(), rest: None });
            }
            Schedule::Inferring | Schedule::Searching => self.tried.push(Piece { ids: first.to_vec(), rest }),
        }
    }
}

/// The most calls that so many offenders among so many may cost.
pub fn bound(conversations: u32, offenders: u32) -> u64 {
    let (all, offenders) = (f64::from(conversations), f64::from(offenders));
    let calls = 2.0 * offenders * ((all / offenders).log2() + 1.0);
    (1..=4 * conversations).take_while(|whole| f64::from(*whole) <= calls).last().map_or(0, u64::from)
}
