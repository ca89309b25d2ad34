//! The actions on the service and their times: drawn from the seed alone, before anything runs.

use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

pub const REPLICAS: usize = 3;
/// The purges of a round, the large one first.
const PURGES: usize = 101;
const HOLDS: usize = 16;
/// One round, in milliseconds.
const ROUND: u64 = 25_000;
/// One conversation in so many is named by small purges alone.
const APART: usize = 20;

/// What is asked of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Pause,
    Resume,
    Cancel,
    Retry,
}

/// One thing that is done. Conversations are told by their place in the organization; purges, holds and stops by a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Some are sent by two callers at once, under one key.
    Purge {
        purge: usize,
        places: Vec<usize>,
        is_dry_run: bool,
        is_sent_twice: bool,
    },
    Steer {
        verb: Verb,
        purge: usize,
    },
    Hold {
        hold: usize,
        places: Vec<usize>,
    },
    Release {
        hold: usize,
    },
    /// A hold at Genesys itself.
    ProtectUpstream {
        place: usize,
    },
    StopOrg {
        stop: usize,
    },
    ResumeOrg {
        stop: usize,
    },
    KillReplica {
        replica: usize,
        down: Duration,
    },
    KillDatabase {
        down: Duration,
    },
    RevokeTokens,
    RefuseDeliveries {
        number: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Counted from the beginning.
    pub at: Duration,
    pub act: Act,
}

/// How large it all is.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    pub rounds: usize,
    /// The conversations of the large purge of each round.
    pub large: usize,
}

impl Extent {
    /// The conversations that one round brings with it.
    pub const fn of_a_round(self) -> usize {
        self.large + self.large / APART
    }

    pub const fn conversations(self) -> usize {
        self.rounds * self.of_a_round()
    }
}

/// All steps, in the order of their times.
pub fn draw(seed: u64, extent: Extent) -> Vec<Step> {
    let mut pen = Pen { chance: StdRng::seed_from_u64(seed), extent, round: 0, steps: Vec::new() };
    for round in 0..extent.rounds {
        pen.round = round;
        pen.purges();
        pen.steering();
        pen.protecting();
        pen.outages();
    }
    pen.steps.sort_by_key(|step| step.at);
    pen.steps
}

/// Writes the schedule.
struct Pen {
    chance: StdRng,
    extent: Extent,
    round: usize,
    steps: Vec<Step>,
}

impl Pen {
    /// A moment of this round.
    fn moment(&mut self, millis: Range<u64>) -> Duration {
        let (begun, within) = (u64::try_from(self.round).unwrap() * ROUND, self.chance.random_range(millis));
        Duration::from_millis(begun + within)
    }

    fn after(&mut self, at: Duration, millis: Range<u64>) -> Duration {
        at + self.pause(millis)
    }

    fn pause(&mut self, millis: Range<u64>) -> Duration {
        Duration::from_millis(self.chance.random_range(millis))
    }

    fn push(&mut self, at: Duration, act: Act) {
        self.steps.push(Step { at, act });
    }

    /// Where the conversations of this round begin.
    fn first(&self) -> usize {
        self.round * self.extent.of_a_round()
    }

    /// Conversations of a small purge or a hold: some that many name, some that the large purge does not, and any.
    fn places(&mut self, most: usize) -> Vec<usize> {
        let (first, large, all) = (self.first(), self.extent.large, self.extent.of_a_round());
        let number = self.chance.random_range(1..=most);
        let mut places: Vec<usize> = (0..number)
            .map(|_| match self.chance.random_range(0..4) {
                0 => self.chance.random_range(first..first + large / 50),
                1 | 2 => self.chance.random_range(first + large..first + all),
                _ => self.chance.random_range(0..first + all),
            })
            .collect();
        places.sort_unstable();
        places.dedup();
        places.shuffle(&mut self.chance);
        places
    }

    fn purges(&mut self) {
        let (first, large) = (self.first(), self.extent.large);
        let begun = self.moment(0..1);
        let places = (first..first + large).collect();
        let purge = self.round * PURGES;
        self.push(begun, Act::Purge { purge, places, is_dry_run: false, is_sent_twice: true });
        for purge in purge + 1..purge + PURGES {
            let (at, places) = (self.moment(0..ROUND - 3_000), self.places(60));
            let (is_dry_run, is_sent_twice) = (self.chance.random_bool(0.1), self.chance.random_bool(0.1));
            self.push(at, Act::Purge { purge, places, is_dry_run, is_sent_twice });
        }
    }

    /// Pauses that end or are left standing, cancels, retries, a stop of the whole org.
    fn steering(&mut self) {
        let large = self.round * PURGES;
        let steer = |verb, purge| Act::Steer { verb, purge };
        let pause = self.moment(6_000..12_000);
        let resume = self.after(pause, 1_000..2_500);
        self.push(pause, steer(Verb::Pause, large));
        self.push(resume, steer(Verb::Resume, large));
        let mut small: Vec<usize> = (large + 1..large + PURGES).collect();
        small.shuffle(&mut self.chance);
        for (nth, &purge) in small[..24].iter().enumerate() {
            let at = self.moment(0..ROUND);
            match nth {
                0..10 => self.push(at, steer(Verb::Cancel, purge)),
                10..18 => {
                    self.push(at, steer(Verb::Pause, purge));
                    if nth % 2 == 0 {
                        let resume = self.after(at, 200..4_000);
                        self.push(resume, steer(Verb::Resume, purge));
                    }
                }
                _ => self.push(at, steer(Verb::Retry, purge)),
            }
        }
        let stop = self.moment(14_000..17_000);
        let resume = self.after(stop, 1_000..2_000);
        self.push(stop, Act::StopOrg { stop: self.round });
        self.push(resume, Act::ResumeOrg { stop: self.round });
    }

    fn protecting(&mut self) {
        for hold in self.round * HOLDS..(self.round + 1) * HOLDS {
            let (at, places) = (self.moment(0..ROUND - 2_000), self.places(30));
            self.push(at, Act::Hold { hold, places });
            if self.chance.random_bool(0.4) {
                let release = self.after(at, 500..8_000);
                self.push(release, Act::Release { hold });
            }
        }
        for _ in 0..20 {
            let (at, places) = (self.moment(0..ROUND), self.places(1));
            self.push(at, Act::ProtectUpstream { place: places[0] });
        }
    }

    fn outages(&mut self) {
        for _ in 0..7 {
            let replica = self.chance.random_range(0..REPLICAS);
            let (at, down) = (self.moment(2_000..ROUND - 1_000), self.pause(100..2_500));
            self.push(at, Act::KillReplica { replica, down });
        }
        for millis in [6_000..11_000, 17_000..22_000] {
            let (at, down) = (self.moment(millis), self.pause(50..1_500));
            self.push(at, Act::KillDatabase { down });
        }
        // A second refusal would look as if the client had lost its right, and block the org for a minute.
        let at = self.moment(0..ROUND);
        self.push(at, Act::RevokeTokens);
        for _ in 0..4 {
            let (at, number) = (self.moment(0..ROUND), self.chance.random_range(1..8));
            self.push(at, Act::RefuseDeliveries { number });
        }
    }
}
