//! The last events of the feed, for its streams.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use crate::store::views::feed::FeedRow;

/// How many are buffered.
const REMEMBERED: usize = 512;

/// The end of the feed is unknown.
const UNKNOWN: i64 = -1;

/// The next news for a listener.
#[derive(Debug)]
pub(in crate::api) enum Heard {
    /// All events after its number; none is left out.
    New(Vec<Arc<FeedRow>>),
    /// He has to read those up to this number himself.
    Behind { upto: i64 },
    /// Where the feed ends is not known yet.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Feed {
    /// The buffer has the events after this number.
    base: i64,
    recent: VecDeque<Arc<FeedRow>>,
    listeners: usize,
    /// The last number that is known.
    end: watch::Sender<i64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { base: UNKNOWN, recent: VecDeque::new(), listeners: 0, end: watch::Sender::new(UNKNOWN) }
    }
}

impl Feed {
    pub(super) const fn listeners(&self) -> usize {
        self.listeners
    }

    pub(super) fn join(&mut self) -> watch::Receiver<i64> {
        self.listeners += 1;
        self.end.subscribe()
    }

    pub(super) fn leave(&mut self) {
        self.listeners -= 1;
    }

    /// The last number that is known; none before the first look.
    pub(super) fn end(&self) -> Option<i64> {
        let end = *self.end.borrow();
        (end != UNKNOWN).then_some(end)
    }

    /// Nothing is remembered, and the feed ends here.
    pub(super) fn begin(&mut self, end: i64) {
        self.recent.clear();
        self.base = end;
        self.end.send_replace(end);
    }

    /// The reader has ended.
    pub(super) fn forget(&mut self) {
        self.begin(UNKNOWN);
    }

    /// Remembers the next ones.
    pub(super) fn push(&mut self, rows: &[Arc<FeedRow>]) {
        let Some(last) = rows.last() else { return };
        if self.listeners > 0 {
            self.recent.extend(rows.iter().cloned());
            while self.recent.len() > REMEMBERED
                && let Some(forgotten) = self.recent.pop_front()
            {
                self.base = forgotten.no;
            }
        } else {
            self.recent.clear();
            self.base = last.no;
        }
        self.end.send_replace(last.no);
    }

    pub(super) fn after(&self, no: i64) -> Heard {
        match self.end() {
            None => Heard::Unknown,
            Some(upto) if no < self.base => Heard::Behind { upto },
            Some(_) => {
                let new = self.recent.partition_point(|row| row.no <= no);
                Heard::New(self.recent.range(new..).cloned().collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::domain::events::EventType;

    fn rows(numbers: std::ops::RangeInclusive<i64>) -> Vec<Arc<FeedRow>> {
        let row = |no| FeedRow {
            no,
            id: Uuid::nil(),
            event: EventType::OrgStopped,
            at: Timestamp::UNIX_EPOCH,
            actor: String::new(),
            request_id: None,
            org: None,
            purge: None,
            event_no: None,
            job: None,
            upstream_job_id: None,
            hold: None,
            payload: serde_json::Value::Null,
        };
        numbers.map(|no| Arc::new(row(no))).collect()
    }

    fn numbers(heard: Heard) -> Vec<i64> {
        let Heard::New(rows) = heard else { panic!("{heard:?}") };
        rows.iter().map(|row| row.no).collect()
    }

    #[test]
    fn who_keeps_up_is_told_all_and_who_is_behind_is_told_so() {
        let mut feed = Feed::default();
        let _ear = feed.join();
        assert!(matches!(feed.after(0), Heard::Unknown));
        feed.begin(10);
        assert_eq!(numbers(feed.after(10)), [0; 0]);
        assert!(matches!(feed.after(9), Heard::Behind { upto: 10 }));
        feed.push(&rows(11..=13));
        assert_eq!(numbers(feed.after(10)), [11, 12, 13]);
        assert_eq!(numbers(feed.after(12)), [13]);
        let last = 13 + i64::try_from(REMEMBERED).unwrap();
        feed.push(&rows(14..=last));
        assert!(matches!(feed.after(12), Heard::Behind { upto } if upto == last));
        assert_eq!(numbers(feed.after(13)).len(), REMEMBERED);
        assert_eq!(numbers(feed.after(last)), [0; 0]);
        feed.leave();
        feed.push(&rows(last + 1..=last + 2));
        assert!(matches!(feed.after(last), Heard::Behind { .. }), "nothing is kept for nobody");
    }
}
