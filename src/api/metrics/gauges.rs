//! Gauges at the time of the scrape: pools, and figures from the database.
//!
//! Every org has every series, so that an absent value reads as 0; only an unreadable database leaves gaps.

use crate::domain::outcome::Outcome;
use crate::domain::state::{JobState, PurgeState};
use crate::meters::{self, Page};
use crate::store::PoolState;
use crate::store::views::metrics::{OrgReading, PurgesReading, Readings};

pub(super) fn write(
    page: &mut Page,
    pools: &[PoolState],
    (of_feed, of_purges): (usize, usize),
    readings: Option<&Readings>,
) {
    page.write(&meters::BUILD_INFO, [([env!("CARGO_PKG_VERSION")], 1.0)]);
    page.write(
        &meters::CONNECTIONS,
        pools.iter().flat_map(|pool| {
            [([pool.name, "idle"], f64::from(pool.idle)), ([pool.name, "in_use"], f64::from(pool.in_use))]
        }),
    );
    page.write(&meters::CONNECTIONS_MAX, pools.iter().map(|pool| ([pool.name], f64::from(pool.max))));
    page.write(&meters::STREAMS, [(["feed"], count(of_feed)), (["purge"], count(of_purges))]);
    page.write_one(&meters::DATABASE_UP, yes(readings.is_some()));
    let Some(readings) = readings else { return };
    orgs(page, &readings.orgs);
    purges(page, readings);
    jobs(page, readings);
    let deliveries = &readings.deliveries;
    page.write(
        &meters::DELIVERIES,
        [(["pending"], number(deliveries.pending)), (["dead"], number(deliveries.dead))],
    );
    page.write_one(&meters::OLDEST_DELIVERY, deliveries.oldest_pending_seconds.unwrap_or_default());
    page.write_one(&meters::EVENTS_UNSTAMPED, number(readings.unstamped));
}

fn orgs(page: &mut Page, orgs: &[OrgReading]) {
    let blocked = orgs.iter().map(|org| {
        let code = org.blocked_code.as_deref();
        ([org.org.as_str(), code.unwrap_or_default()], yes(code.is_some()))
    });
    page.write(&meters::ORG_BLOCKED, blocked);
    page.write(&meters::ORG_STOPPED, orgs.iter().map(|org| ([org.org.as_str()], yes(org.is_stopped))));
    page.write(&meters::ORG_PAUSED, orgs.iter().map(|org| ([org.org.as_str()], yes(org.is_paused))));
    page.write(&meters::SLICES_PARKED, orgs.iter().map(|org| ([org.org.as_str()], number(org.parked))));
}

fn purges(page: &mut Page, readings: &Readings) {
    let of = |org| readings.purges.iter().filter(move |purges| &purges.org == org);
    let by_state = readings.orgs.iter().flat_map(|org| {
        let open = PurgeState::ALL.iter().filter(|state| !state.is_final());
        open.map(move |state| {
            let purges = of(&org.org).filter(|purges| purges.state == *state);
            ([org.org.as_str(), state.as_str()], number(purges.map(|purges| purges.number).sum()))
        })
    });
    page.write(&meters::PURGES_OPEN, by_state);
    let by_outcome = readings.orgs.iter().flat_map(|org| {
        let sum = |outcome: Outcome, pick: fn(&PurgesReading) -> i64| {
            ([org.org.as_str(), outcome.as_str()], number(of(&org.org).map(pick).sum()))
        };
        [
            sum(Outcome::Pending, |purges| purges.pending),
            sum(Outcome::Eligible, |purges| purges.eligible),
            sum(Outcome::Submitted, |purges| purges.submitted),
        ]
    });
    page.write(&meters::CONVERSATIONS_OPEN, by_outcome);
    let oldest = readings.orgs.iter().map(|org| {
        ([org.org.as_str()], of(&org.org).map(|purges| purges.oldest_seconds).fold(0.0, f64::max))
    });
    page.write(&meters::OLDEST_OPEN_PURGE, oldest);
}

fn jobs(page: &mut Page, readings: &Readings) {
    let by_state = readings.orgs.iter().flat_map(|org| {
        let open = JobState::ALL.iter().filter(|state| **state != JobState::Done);
        open.map(move |state| {
            let jobs = readings.jobs.iter().filter(|jobs| jobs.org == org.org && jobs.state == *state);
            ([org.org.as_str(), state.as_str()], number(jobs.map(|jobs| jobs.number).sum()))
        })
    });
    page.write(&meters::JOBS_OPEN, by_state);
}

fn count(listeners: usize) -> f64 {
    f64::from(u32::try_from(listeners).unwrap_or(u32::MAX))
}

const fn yes(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus knows no other numbers, and 2^53 rows are not to come"
)]
const fn number(count: i64) -> f64 {
    count as f64
}
