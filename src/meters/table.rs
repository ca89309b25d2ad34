//! Every metric, by name. docs/metrics.md describes them for operators; a test compares table, document and page.

use Kind::{Counter, Gauge, Histogram};

#[derive(Debug)]
pub struct Meter {
    /// Its name, with the unit at the end as Prometheus wants it.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// The names of its labels, in the order in which their values are given.
    pub labels: &'static [&'static str],
    /// What it tells, in a sentence.
    pub help: &'static str,
}

/// The kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, from the start of the process.
    Counter,
    /// What is so at the moment.
    Gauge,
    /// Counts by size, with these upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word for it on the page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
            Histogram(_) => "histogram",
        }
    }
}

const fn meter(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Meter {
    Meter { name, kind, labels, help }
}

/// Calls over a network, in seconds: to the 30 s after which a request is given up.
const CALLS: Kind = Histogram(&[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
/// Requests and steps, in seconds: quick ones are told apart.
const WORK: Kind = Histogram(&[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0]);
/// What the database does, in seconds: few bounds, since there is a series a transaction.
const DATABASE: Kind = Histogram(&[0.001, 0.005, 0.025, 0.1, 0.5, 2.5]);

pub const HTTP_REQUESTS: Meter = meter(
    "genesys_purge_http_requests_total",
    Counter,
    &["method", "route", "status"],
    "Requests that were answered or cut off.",
);
/// How long they took.
pub const HTTP_REQUEST_DURATION: Meter = meter(
    "genesys_purge_http_request_duration_seconds",
    WORK,
    &["method", "route"],
    "From the head of a request to the head of its answer.",
);
pub const HTTP_IN_FLIGHT: Meter =
    meter("genesys_purge_http_requests_in_flight", Gauge, &[], "Requests whose answer has not begun.");
/// Steps of the engine.
pub const STEP_DURATION: Meter = meter(
    "genesys_purge_step_duration_seconds",
    WORK,
    &["step", "org", "result"],
    "Steps of the engine, from claim to record.",
);
pub const UPSTREAM_CALLS: Meter = meter(
    "genesys_purge_upstream_calls_total",
    Counter,
    &["org", "call", "status"],
    "Calls to Genesys, by the HTTP status of the answer or the reason for no answer.",
);
/// How long they took.
pub const UPSTREAM_CALL_DURATION: Meter = meter(
    "genesys_purge_upstream_call_duration_seconds",
    CALLS,
    &["org", "call"],
    "Calls to Genesys, to the end of the answer.",
);
pub const CONVERSATIONS: Meter = meter(
    "genesys_purge_conversations_total",
    Counter,
    &["org", "outcome"],
    "Conversations that reached a final outcome, counted when it was committed.",
);
pub const WEBHOOK_ATTEMPTS: Meter =
    meter("genesys_purge_webhook_attempts_total", Counter, &["result"], "Attempts to deliver a webhook.");
/// How long they took.
pub const WEBHOOK_ATTEMPT_DURATION: Meter =
    meter("genesys_purge_webhook_attempt_duration_seconds", CALLS, &[], "Attempts to deliver a webhook.");
pub const ENDPOINTS_DISABLED: Meter = meter(
    "genesys_purge_webhook_endpoints_disabled_total",
    Counter,
    &[],
    "Webhook endpoints that were disabled because they failed for too long, or said that they are gone.",
);
pub const WEBHOOKS_REDELIVERED: Meter = meter(
    "genesys_purge_webhooks_redelivered_total",
    Counter,
    &["state"],
    "Webhooks that were redelivered by hand, by the state that they had.",
);
/// Calls that had to wait.
pub const PERMITS_REFUSED: Meter = meter(
    "genesys_purge_permits_refused_total",
    Counter,
    &["org", "call"],
    "Calls that were put off because the budget of the org was used up or Genesys asked to wait.",
);
pub const DATABASE_REWINDS: Meter = meter(
    "genesys_purge_database_rewinds_total",
    Counter,
    &["kind"],
    "How often the database was found to have gone back in time, which stops every org.",
);
/// Leases that ran out.
pub const LEASES_EXPIRED: Meter = meter(
    "genesys_purge_leases_expired_total",
    Counter,
    &["org", "of"],
    "Leases that ended without a result: their worker was gone or too slow.",
);
pub const TRANSACTION_DURATION: Meter = meter(
    "genesys_purge_transaction_duration_seconds",
    DATABASE,
    &["transaction"],
    "Transactions from begin to commit or roll-back.",
);
pub const TRANSACTION_RETRIES: Meter = meter(
    "genesys_purge_transaction_retries_total",
    Counter,
    &["cause"],
    "Transactions that were rolled back because of others, such as by a deadlock, and retried.",
);
/// Waits for a connection.
pub const CONNECTION_WAIT: Meter = meter(
    "genesys_purge_database_connection_wait_seconds",
    DATABASE,
    &["pool"],
    "How long a transaction waited for its connection and its begin.",
);
/// Errors of the database.
pub const DATABASE_ERRORS: Meter = meter(
    "genesys_purge_database_errors_total",
    Counter,
    &["kind"],
    "Statements and connections that the database refused.",
);
pub const CONNECTIONS: Meter =
    meter("genesys_purge_database_connections", Gauge, &["pool", "state"], "Connections to the database.");
pub const CONNECTIONS_MAX: Meter = meter(
    "genesys_purge_database_connections_max",
    Gauge,
    &["pool"],
    "Connections that the pool may have at most.",
);
pub const DATABASE_UP: Meter = meter(
    "genesys_purge_database_up",
    Gauge,
    &[],
    "1 if the gauges of the database could be read in time; 0 if not, and they are missing.",
);
pub const PURGES_OPEN: Meter =
    meter("genesys_purge_purges_open", Gauge, &["org", "state"], "Purges that are not final.");
pub const CONVERSATIONS_OPEN: Meter = meter(
    "genesys_purge_conversations_open",
    Gauge,
    &["org", "outcome"],
    "Conversations of open purges that have no final outcome.",
);
/// The oldest of them.
pub const OLDEST_OPEN_PURGE: Meter = meter(
    "genesys_purge_oldest_open_purge_age_seconds",
    Gauge,
    &["org"],
    "Since the oldest open purge was accepted; 0 if none is open.",
);
pub const JOBS_OPEN: Meter =
    meter("genesys_purge_jobs_open", Gauge, &["org", "state"], "Jobs that are not done.");
pub const ORG_BLOCKED: Meter = meter(
    "genesys_purge_org_blocked",
    Gauge,
    &["org", "code"],
    "1 if the org is blocked, with the code of the block; 0 without a code if not.",
);
pub const ORG_STOPPED: Meter =
    meter("genesys_purge_org_stopped", Gauge, &["org"], "1 if an operator stopped the org, else 0.");
pub const ORG_PAUSED: Meter = meter(
    "genesys_purge_org_paused",
    Gauge,
    &["org"],
    "1 if every process that works for the org has engine.paused set, else 0.",
);
pub const SLICES_PARKED: Meter = meter(
    "genesys_purge_slices_parked",
    Gauge,
    &["org"],
    "Slices that can't be read and wait for an operator.",
);
pub const DELIVERIES: Meter = meter(
    "genesys_purge_webhook_deliveries",
    Gauge,
    &["state"],
    "Webhooks that wait for their next attempt, and those that were given up.",
);
/// The oldest that waits.
pub const OLDEST_DELIVERY: Meter = meter(
    "genesys_purge_oldest_pending_delivery_age_seconds",
    Gauge,
    &[],
    "Since the oldest pending webhook was written; 0 if none is pending.",
);
pub const EVENTS_UNSTAMPED: Meter = meter(
    "genesys_purge_events_unstamped",
    Gauge,
    &[],
    "Events that wait for their number in the feed, without those from before an upgrade.",
);
pub const STREAMS: Meter =
    meter("genesys_purge_streams", Gauge, &["of"], "Open streams of the feed and of single purges.");
pub const BUILD_INFO: Meter =
    meter("genesys_purge_build_info", Gauge, &["version"], "Always 1; the label is the version.");
/// When the process began.
pub const PROCESS_START: Meter =
    meter("process_start_time_seconds", Gauge, &[], "When the process started, in seconds since 1970.");
pub const PROCESS_CPU: Meter =
    meter("process_cpu_seconds_total", Counter, &[], "Processor time of the process, user and system.");
pub const PROCESS_RESIDENT: Meter =
    meter("process_resident_memory_bytes", Gauge, &[], "Resident memory of the process.");
pub const PROCESS_VIRTUAL: Meter =
    meter("process_virtual_memory_bytes", Gauge, &[], "Address space of the process.");
pub const PROCESS_FDS: Meter = meter("process_open_fds", Gauge, &[], "Open file descriptors of the process.");
pub const PROCESS_MAX_FDS: Meter =
    meter("process_max_fds", Gauge, &[], "File descriptors that the process may have open at most.");

/// All of them, in the order in which they are documented.
pub const TABLE: &[&Meter] = &[
    &HTTP_REQUESTS,
    &HTTP_REQUEST_DURATION,
    &HTTP_IN_FLIGHT,
    &PURGES_OPEN,
    &CONVERSATIONS_OPEN,
    &OLDEST_OPEN_PURGE,
    &CONVERSATIONS,
    &JOBS_OPEN,
    &SLICES_PARKED,
    &STEP_DURATION,
    &DATABASE_REWINDS,
    &LEASES_EXPIRED,
    &UPSTREAM_CALLS,
    &UPSTREAM_CALL_DURATION,
    &PERMITS_REFUSED,
    &ORG_BLOCKED,
    &ORG_STOPPED,
    &ORG_PAUSED,
    &WEBHOOK_ATTEMPTS,
    &WEBHOOK_ATTEMPT_DURATION,
    &ENDPOINTS_DISABLED,
    &WEBHOOKS_REDELIVERED,
    &DELIVERIES,
    &OLDEST_DELIVERY,
    &EVENTS_UNSTAMPED,
    &STREAMS,
    &DATABASE_UP,
    &TRANSACTION_DURATION,
    &TRANSACTION_RETRIES,
    &DATABASE_ERRORS,
    &CONNECTIONS,
    &CONNECTIONS_MAX,
    &CONNECTION_WAIT,
    &BUILD_INFO,
    &PROCESS_START,
    &PROCESS_CPU,
    &PROCESS_RESIDENT,
    &PROCESS_VIRTUAL,
    &PROCESS_FDS,
    &PROCESS_MAX_FDS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_prometheus_wants() {
        let is_plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let mut names: Vec<&str> = TABLE.iter().map(|meter| meter.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len(), "each name once");
        for meter in TABLE {
            let Meter { name, kind, labels, help } = meter;
            assert!(name.starts_with("genesys_purge_") || name.starts_with("process_"), "{name}");
            assert!(is_plain(name) && labels.iter().all(|label| is_plain(label)), "{meter:?}");
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}: {help}");
            if let Histogram(bounds) = kind {
                assert!(name.ends_with("_seconds"), "{name}");
                assert!(!bounds.is_empty() && bounds.is_sorted(), "{name}: {bounds:?}");
            }
        }
    }
}
