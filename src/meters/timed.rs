//! Timers: ended once, and recorded even if the caller went away.

use std::time::{Duration, Instant};

use metrics::SharedString;

use super::{
    CONNECTION_WAIT, HTTP_IN_FLIGHT, HTTP_REQUEST_DURATION, HTTP_REQUESTS, Meters, STEP_DURATION,
    TRANSACTION_DURATION, UPSTREAM_CALL_DURATION, UPSTREAM_CALLS, WEBHOOK_ATTEMPT_DURATION, WEBHOOK_ATTEMPTS,
};

/// How something ended that was dropped before its end.
const CUT: &str = "cut";

/// Something under way; dropped before [`Timed::end`] it is recorded as `cut`.
#[derive(Debug)]
#[must_use = "it ends where it is dropped"]
pub struct Timed {
    meters: Meters,
    began: Instant,
    /// Taken by its end.
    what: Option<What>,
}

#[derive(Debug)]
enum What {
    Request { method: SharedString, route: SharedString },
    Step { step: SharedString, org: SharedString },
    UpstreamCall { org: SharedString, call: SharedString },
    WebhookAttempt,
    Transaction(SharedString),
    ConnectionWait(SharedString),
}

impl Meters {
    /// A request, by its route as it stands in the router.
    pub fn request(&self, method: &'static str, route: &str) -> Timed {
        self.shift(&HTTP_IN_FLIGHT, 1.0);
        self.timed(What::Request { method: method.into(), route: route.to_owned().into() })
    }

    /// A step of the engine.
    pub fn step(&self, step: &'static str, org: &str) -> Timed {
        self.timed(What::Step { step: step.into(), org: org.to_owned().into() })
    }

    /// A call to Genesys; it ends with its status, or a word for why there was none.
    pub fn upstream_call(&self, org: &str, call: &'static str) -> Timed {
        self.timed(What::UpstreamCall { org: org.to_owned().into(), call: call.into() })
    }

    /// An attempt of a delivery; it ends as `delivered`, `failed` or `dead`.
    pub fn webhook_attempt(&self) -> Timed {
        self.timed(What::WebhookAttempt)
    }

    /// A transaction, however it ends.
    pub fn transaction(&self, name: &'static str) -> Timed {
        self.timed(What::Transaction(name.into()))
    }

    /// A wait for a connection of this pool.
    pub fn connection_wait(&self, pool: &'static str) -> Timed {
        self.timed(What::ConnectionWait(pool.into()))
    }

    fn timed(&self, what: What) -> Timed {
        Timed { meters: self.clone(), began: Instant::now(), what: Some(what) }
    }
}

impl Timed {
    /// It ended like this.
    pub fn end(mut self, how: &'static str) {
        self.record(how.into());
    }

    /// It ended with this HTTP status.
    pub fn end_with_status(mut self, status: u16) {
        self.record(status.to_string().into());
    }

    /// So long it takes by now.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn record(&mut self, how: SharedString) {
        let Some(what) = self.what.take() else { return };
        let (meters, seconds) = (&self.meters, self.elapsed().as_secs_f64());
        match what {
            What::Request { method, route } => {
                meters.shift(&HTTP_IN_FLIGHT, -1.0);
                meters.observe(&HTTP_REQUEST_DURATION, [method.clone(), route.clone()], seconds);
                meters.add(&HTTP_REQUESTS, [method, route, how], 1);
            }
            What::Step { step, org } => meters.observe(&STEP_DURATION, [step, org, how], seconds),
            What::UpstreamCall { org, call } => {
                meters.observe(&UPSTREAM_CALL_DURATION, [org.clone(), call.clone()], seconds);
                meters.add(&UPSTREAM_CALLS, [org, call, how], 1);
            }
            What::WebhookAttempt => {
                meters.observe(&WEBHOOK_ATTEMPT_DURATION, [], seconds);
                meters.add(&WEBHOOK_ATTEMPTS, [how], 1);
            }
            What::Transaction(name) => meters.observe(&TRANSACTION_DURATION, [name], seconds),
            What::ConnectionWait(pool) => meters.observe(&CONNECTION_WAIT, [pool], seconds),
        }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.record(CUT.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_was_cut_and_nothing_is_counted_twice() {
        let meters = Meters::new([]);
        drop(meters.request("GET", "/a"));
        meters.request("GET", "/a").end_with_status(200);
        let under_way = meters.request("POST", "/b");
        let page = meters.page().to_string();
        for line in [
            "genesys_purge_http_requests_total{method=\"GET\",route=\"/a\",status=\"cut\"} 1",
            "genesys_purge_http_requests_total{method=\"GET\",route=\"/a\",status=\"200\"} 1",
            "genesys_purge_http_request_duration_seconds_count{method=\"GET\",route=\"/a\"} 2",
            "genesys_purge_http_requests_in_flight 1",
        ] {
            assert!(page.lines().any(|other| other == line), "{line} is not in {page}");
        }
        under_way.end_with_status(202);
        assert!(meters.page().to_string().contains("genesys_purge_http_requests_in_flight 0\n"));
    }

    #[test]
    fn silent_meters_have_nothing_to_show() {
        let meters = Meters::silent();
        meters.step("submit", "default").end("ok");
        assert!(!meters.page().to_string().contains("genesys_purge_"));
    }
}
