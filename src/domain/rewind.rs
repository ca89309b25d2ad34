//! Whether the database is still where it was: a database that went back in time has forgotten intents and holds.

use serde::Serialize;

use super::words::words;

/// Which server a database is on, and how far its log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ground {
    /// Of the server's files; another one for each server that was made anew.
    pub system: i64,
    /// Counts promotions and recoveries to a point in time.
    pub timeline: i64,
    /// Of its log, in bytes. What is committed lies before it.
    pub position: i64,
}

impl Ground {
    /// Whether this, found later, goes on from what was known; not where nothing was.
    pub fn follows(self, known: Option<Self>) -> bool {
        known.is_some_and(|known| judge(&[known], self, Promotion::Check) == History::Whole)
    }
}

/// What a new timeline of the same server means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promotion {
    /// Commits may be missing.
    Check,
    /// The operator says that only synchronous standbys are promoted: none is missing.
    Lossless,
}

words! {
    /// How the database went back.
    Rewind, "way for a database to go back" {
        /// It is on another server: a dump was restored.
        OtherServer = "other_server",
        /// A standby was promoted, or the server recovered to a point in time.
        OtherTimeline = "other_timeline",
        /// Its log is shorter than it was: its files are of an earlier time.
        WentBack = "went_back",
    }
}

impl Rewind {
    /// What happened, for people.
    pub const fn says(self) -> &'static str {
        match self {
            Self::OtherServer => "the database is on another server than before, as after a restored dump",
            Self::OtherTimeline => "a standby was promoted, or the database was recovered to a point in time",
            Self::WentBack => "the database's files are of an earlier time, as after a restored snapshot",
        }
    }
}

/// What came of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// It is as it was, or nobody knows how it was.
    Whole,
    /// A standby was promoted, and nothing is missing.
    Promoted,
    Rewound(Rewind),
}

/// Compares what is found with what is known: what the database has on record, what this process remembers.
pub fn judge(known: &[Ground], found: Ground, promotion: Promotion) -> History {
    let mut history = History::Whole;
    for known in known {
        if found.system != known.system {
            return History::Rewound(Rewind::OtherServer);
        }
        if found.timeline != known.timeline {
            if promotion == Promotion::Check || found.timeline < known.timeline {
                return History::Rewound(Rewind::OtherTimeline);
            }
            history = History::Promoted;
        }
        // Also after a promotion of which nothing shall have been lost.
        if found.position < known.position {
            return History::Rewound(Rewind::WentBack);
        }
    }
    history
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Ground = Ground { system: 7, timeline: 3, position: 1000 };

    fn found(system: i64, timeline: i64, position: i64) -> Ground {
        Ground { system, timeline, position }
    }

    #[test]
    fn whatever_does_not_fit_is_a_rewind_but_a_promotion_that_is_said_to_lose_nothing() {
        use History::{Promoted, Rewound, Whole};
        use Promotion::{Check, Lossless};
        for (found, checked, lossless) in [
            (found(7, 3, 1000), Whole, Whole),
            (found(7, 3, 2000), Whole, Whole),
            (found(7, 3, 999), Rewound(Rewind::WentBack), Rewound(Rewind::WentBack)),
            (found(8, 3, 2000), Rewound(Rewind::OtherServer), Rewound(Rewind::OtherServer)),
            (found(8, 1, 10), Rewound(Rewind::OtherServer), Rewound(Rewind::OtherServer)),
            (found(7, 4, 1000), Rewound(Rewind::OtherTimeline), Promoted),
            (found(7, 2, 1000), Rewound(Rewind::OtherTimeline), Rewound(Rewind::OtherTimeline)),
            (found(7, 4, 999), Rewound(Rewind::OtherTimeline), Rewound(Rewind::WentBack)),
        ] {
            assert_eq!(judge(&[KNOWN], found, Check), checked, "{found:?}");
            assert_eq!(judge(&[KNOWN], found, Lossless), lossless, "{found:?}");
        }
        assert_eq!(judge(&[], KNOWN, Check), Whole, "a first start");
        assert!(found(7, 3, 1001).follows(Some(KNOWN)) && !found(7, 4, 1001).follows(Some(KNOWN)));
        assert!(!KNOWN.follows(None), "nobody has looked yet");
    }

    #[test]
    fn what_the_process_remembers_counts_beside_what_is_on_record() {
        // A snapshot brings its own record along, which fits.
        let record = found(7, 3, 500);
        let now = found(7, 3, 600);
        assert_eq!(judge(&[record], now, Promotion::Check), History::Whole);
        assert_eq!(judge(&[record, KNOWN], now, Promotion::Check), History::Rewound(Rewind::WentBack));
        assert_eq!(judge(&[KNOWN, record], now, Promotion::Check), History::Rewound(Rewind::WentBack));
    }
}
