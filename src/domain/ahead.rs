//! How far validation runs ahead of the slots.
//!
//! Facts grow old, so nothing is queried earlier than needed; but a free slot must not wait for facts, so nothing is
//! queried later.

use std::time::Duration;

/// What an org has, and is about to have.
#[derive(Debug, Clone, Copy)]
pub struct Stock {
    /// Slots that are free now.
    pub free_slots: usize,
    /// Slots whose job is expected to end within the [`horizon`].
    pub freeing_slots: usize,
    /// Eligible conversations that a job could take now.
    pub drawable: usize,
    /// Conversations whose facts are being asked.
    pub asking: usize,
    /// The size of a full job.
    pub max_batch: usize,
}

/// More facts are needed: what can be drawn, with all that is being asked, would not fill the slots that come free.
pub fn wants_facts(stock: &Stock) -> bool {
    let demand = (stock.free_slots + stock.freeing_slots).saturating_mul(stock.max_batch);
    stock.drawable + stock.asking < demand
}

/// A job that is expected to end within this time counts as a slot that comes free. However long jobs take, what is asked
/// ahead has half its life before it when the slot comes free.
pub fn horizon(expected_job: Option<Duration>, facts_max_age: Duration) -> Duration {
    let tenth = expected_job.map_or(Duration::ZERO, |expected| expected / 10);
    tenth.max(Duration::from_secs(2)).min(facts_max_age / 2)
}

/// How long a free slot may wait for a details call that is on the way, rather than take a job that is not full.
pub fn patience(expected_job: Option<Duration>) -> Duration {
    const LONGEST: Duration = Duration::from_millis(250);
    expected_job.map_or(LONGEST, |expected| (expected / 20).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_asked_for_the_slots_that_come_free_and_no_further() {
        let stock = |free_slots, freeing_slots, drawable, asking| Stock {
            free_slots,
            freeing_slots,
            drawable,
            asking,
            max_batch: 500,
        };
        let table = [
            (stock(0, 0, 0, 0), false),
            (stock(1, 0, 0, 0), true),
            (stock(1, 0, 499, 0), true),
            (stock(1, 0, 500, 0), false),
            (stock(1, 0, 0, 500), false),
            (stock(0, 2, 500, 0), true),
            (stock(0, 2, 500, 500), false),
            (stock(5, 5, 4000, 500), true),
        ];
        for (stock, expected) in table {
            assert_eq!(wants_facts(&stock), expected, "{stock:?}");
        }
    }

    #[test]
    fn the_horizon_is_a_tenth_of_the_usual_job_and_half_the_life_of_facts_at_most() {
        let (minute, quarter) = (Duration::from_mins(1), Duration::from_mins(15));
        let table = [
            (None, quarter, Duration::from_secs(2)),
            (Some(minute), quarter, Duration::from_secs(6)),
            (Some(75 * minute), quarter, quarter / 2),
            (Some(150 * minute), quarter, quarter / 2),
            (Some(150 * minute), Duration::from_secs(3), Duration::from_millis(1500)),
        ];
        for (expected, max_age, horizon) in table {
            assert_eq!(super::horizon(expected, max_age), horizon, "{expected:?}");
        }
    }

    #[test]
    fn patience_is_a_twentieth_of_the_usual_job_and_a_quarter_second_at_most() {
        let table = [(None, 250), (Some(1000), 50), (Some(60_000), 250)];
        for (expected, wait) in table {
            assert_eq!(patience(expected.map(Duration::from_millis)), Duration::from_millis(wait));
        }
    }
}
