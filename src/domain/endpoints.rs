//! Webhook endpoints: which events they get, and when a failing one is paused or disabled.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::events::EventType;
use super::words::words;

words! {
    /// What webhooks tell of.
    Told, "event of a webhook" {
        /// An upstream job with conversations of a purge ended.
        PurgeJobCompleted = "purge_job_completed",
        /// Every conversation ended lawfully.
        PurgeCompleted = "purge_completed",
        /// Some conversations should have been purged and were not.
        PurgeFailed = "purge_failed",
        PurgeCanceled = "purge_canceled",
        /// Upstream refuses an org, whose work waits.
        OrgBlocked = "org_blocked",
        /// Upstream accepts it again.
        OrgUnblocked = "org_unblocked",
        /// An endpoint failed for so long that it is sent nothing more.
        EndpointDisabled = "endpoint_disabled",
    }
}

impl Told {
    /// The word for an event, where webhooks tell of it.
    pub const fn of(event: EventType) -> Option<Self> {
        match event {
            EventType::PurgeJobCompleted => Some(Self::PurgeJobCompleted),
            EventType::PurgeCompleted => Some(Self::PurgeCompleted),
            EventType::PurgeFailed => Some(Self::PurgeFailed),
            EventType::PurgeCanceled => Some(Self::PurgeCanceled),
            EventType::OrgBlocked => Some(Self::OrgBlocked),
            EventType::OrgUnblocked => Some(Self::OrgUnblocked),
            EventType::EndpointDisabled => Some(Self::EndpointDisabled),
            EventType::PurgeAccepted
            | EventType::PurgeStarted
            | EventType::PurgePaused
            | EventType::PurgeResumed
            | EventType::PurgeCanceling
            | EventType::PurgeRetried
            | EventType::HoldCreated
            | EventType::HoldReleased
            | EventType::RetentionChanged
            | EventType::OrgStopped
            | EventType::OrgResumed
            | EventType::DatabaseRewound
            | EventType::GoneLate
            | EventType::SliceParked
            | EventType::SliceUnparked
            | EventType::WebhooksRedelivered
            | EventType::EndpointCreated
            | EventType::EndpointChanged
            | EventType::EndpointDeleted
            | EventType::EndpointSecretRotated => None,
        }
    }
}

/// What an endpoint wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// `None`: everything.
    pub events: Option<Vec<Told>>,
    /// `None`: every org.
    pub orgs: Option<Vec<String>>,
}

impl Interest {
    /// The org that it is about, where that is one.
    pub fn only_org(&self) -> Option<&str> {
        match self.orgs.as_deref() {
            Some([only]) => Some(only),
            _ => None,
        }
    }

    /// It wants to hear of this; what is of no org is for those who hear of every one.
    pub fn covers(&self, event: EventType, org: Option<&str>) -> bool {
        let Some(told) = Told::of(event) else { return false };
        self.events.as_ref().is_none_or(|events| events.contains(&told))
            && self.orgs.as_ref().is_none_or(|orgs| orgs.iter().any(|of| Some(of.as_str()) == org))
    }
}

/// After so many failures in a row an endpoint is sent one delivery at a time, with waits.
pub const FAILING: u32 = 5;

/// Those waits are no longer.
const LONGEST_REST: Duration = Duration::from_mins(5);

/// How long an endpoint is left alone after so many failures in a row: the first wait of the schedule, then twice as long with
/// each further one, up to five minutes, or to that first wait where it is longer.
pub fn rest(failures: u32, schedule: &[Duration]) -> Option<Duration> {
    let more = failures.checked_sub(FAILING)?;
    let first = schedule.first().copied().unwrap_or(LONGEST_REST);
    Some(first.saturating_mul(1 << more.min(20)).min(LONGEST_REST.max(first)))
}

/// It has done nothing but fail for so long that it is disabled.
pub fn is_hopeless(failing_since: Timestamp, now: Timestamp, disable_after: Duration) -> bool {
    let limit = SignedDuration::try_from(disable_after).unwrap_or(SignedDuration::MAX);
    now.duration_since(failing_since) >= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_hears_of_what_it_asked_for_in_its_orgs() {
        let all = Interest::default();
        let some = Interest {
            events: Some(vec![Told::PurgeFailed, Told::OrgBlocked]),
            orgs: Some(vec!["eu".to_owned()]),
        };
        let table = [
            (EventType::PurgeFailed, Some("eu"), true, true),
            (EventType::PurgeFailed, Some("us"), true, false),
            (EventType::PurgeFailed, None, true, false),
            (EventType::PurgeCompleted, Some("eu"), true, false),
            (EventType::OrgBlocked, Some("eu"), true, true),
            (EventType::PurgeAccepted, Some("eu"), false, false),
            (EventType::HoldCreated, None, false, false),
        ];
        for (event, org, by_all, by_some) in table {
            assert_eq!(
                (all.covers(event, org), some.covers(event, org)),
                (by_all, by_some),
                "{event} {org:?}"
            );
        }
    }

    #[test]
    fn every_word_is_that_of_its_event() {
        for event in EventType::ALL {
            assert!(Told::of(*event).is_none_or(|told| told.as_str() == event.as_str()), "{event}");
        }
        assert_eq!(EventType::ALL.iter().filter_map(|event| Told::of(*event)).count(), Told::ALL.len());
    }

    #[test]
    fn who_fails_is_left_alone_longer_each_time() {
        let schedule = [Duration::from_secs(5), Duration::from_mins(5)];
        let table = [
            (0, None),
            (4, None),
            (5, Some(5)),
            (6, Some(10)),
            (10, Some(160)),
            (11, Some(300)),
            (u32::MAX, Some(300)),
        ];
        for (failures, expected) in table {
            assert_eq!(rest(failures, &schedule), expected.map(Duration::from_secs), "{failures}");
        }
        assert_eq!(rest(9, &[Duration::from_hours(1)]), Some(Duration::from_hours(1)));
    }

    #[test]
    fn who_failed_for_five_days_is_hopeless() {
        let since: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let five_days = Duration::from_hours(120);
        for (now, expected) in [("2026-11-24T23:59:59Z", false), ("2026-11-25T00:00:00Z", true)] {
            assert_eq!(is_hopeless(since, now.parse().unwrap(), five_days), expected, "{now}");
        }
    }
}
