//! An org as callers read it.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::done::OrgActBody;
use crate::domain::terms::OrgTerms;
use crate::store::orgs::stop::Stop;
use crate::store::purges::load::{ENGINE_PAUSED, PAUSED};
use crate::store::views::orgs::{self, OrgRow};

/// A Genesys organization.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Org)]
pub(in crate::api) struct OrgBody {
    name: String,
    limits: Limits,
    /// Permits for calls taken in the last 60 seconds, by all processes; calls for tokens need none.
    calls_last_minute: u32,
    /// Upstream jobs that hold one of its slots.
    live_jobs: i64,
    /// Jobs that wait for a slot.
    waiting_jobs: i64,
    /// Purges that are not final.
    open_purges: i64,
    token: Token,
    /// Why Genesys refuses it or does not answer, if so: its work waits, and one try at a time is let through.
    blocked: Option<Blocked>,
    /// Who stopped it, if it is stopped.
    stopped: Option<Stopped>,
    /// Set if no work starts for it because every process that works for it has `engine.paused` set; null if one of
    /// them may start work, or if none is alive.
    paused: Option<Paused>,
    /// Who stopped it last, who resumed it, and why: the last of each, newest first. They stay when they are over.
    acts: Vec<OrgActBody>,
    /// Genesys asked to wait until then (`Retry-After`).
    closed_until: Option<Timestamp>,
}

/// The limits in use, as this process is configured.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrgLimits)]
struct Limits {
    /// Maximum conversations per job.
    max_batch: usize,
    /// Maximum conversations per details query.
    details_batch: usize,
    /// Live upstream jobs at the same time.
    max_concurrent_jobs: usize,
    /// Calls per minute; null for no limit of our own.
    requests_per_minute: Option<u32>,
    /// Calls per minute by the last headers of Genesys; the smaller of the two limits applies.
    allowed_per_minute: Option<u32>,
}

/// The last token that a worker got.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrgToken)]
struct Token {
    /// Seconds since it was requested; null if there was none yet.
    age_seconds: Option<i64>,
    /// Seconds until it expires; 0 once it has.
    expires_in_seconds: Option<i64>,
}

/// Why work waits for upstream.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrgBlocked)]
struct Blocked {
    /// A stable word.
    #[schema(example = "forbidden")]
    code: String,
    /// What is missing, and what to do.
    detail: String,
    /// What is refused, or got no answer: `details`, `submit` or `poll`; `clock` if clocks disagree; `sight` if answers
    /// lack conversations that exist; `conflicts` if Genesys protects too much that our checks do not find; `token` if
    /// there is no token.
    #[schema(example = "submit")]
    call: String,
    since: Timestamp,
    /// When the next try is let through.
    next_try_at: Timestamp,
}

/// Who stopped it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrgStopped)]
struct Stopped {
    /// `org_stopped`; or `database_rewound`, if the service stopped it itself because the database went back in time.
    #[schema(example = "org_stopped")]
    code: &'static str,
    /// The name of the key.
    by: String,
    reason: Option<String>,
    since: Timestamp,
}

/// No work starts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrgPaused)]
struct Paused {
    /// `engine_paused`.
    #[schema(example = "engine_paused")]
    code: &'static str,
    /// Its meaning, and what to do.
    detail: &'static str,
    since: Timestamp,
}

impl OrgBody {
    /// The org as it stands in the database, with the limits that this process is configured for.
    pub(super) fn new(terms: &OrgTerms, row: OrgRow) -> Self {
        let since = |at: Timestamp| seconds(row.read_at.duration_since(at));
        let until = |at: Timestamp| seconds(at.duration_since(row.read_at));
        Self {
            limits: Limits {
                max_batch: terms.max_batch,
                details_batch: terms.details_batch,
                max_concurrent_jobs: terms.slots,
                requests_per_minute: Some(terms.per_minute).filter(|per_minute| *per_minute > 0),
                allowed_per_minute: row.allowed_per_minute,
            },
            calls_last_minute: row.calls_last_minute,
            live_jobs: row.live_jobs,
            waiting_jobs: row.waiting_jobs,
            open_purges: row.open_purges,
            token: Token {
                age_seconds: row.token.map(|(got_at, _)| since(got_at)),
                expires_in_seconds: row.token.map(|(_, expires_at)| until(expires_at)),
            },
            blocked: row.blocked.map(Blocked::from),
            stopped: row.stopped.map(Stopped::from),
            paused: row.paused_since.map(|since| Paused { code: ENGINE_PAUSED, detail: PAUSED, since }),
            acts: row.acts.into_iter().map(OrgActBody::from).collect(),
            closed_until: row.closed_until,
            name: row.name,
        }
    }
}

/// Whole seconds, none where the time has passed.
fn seconds(duration: SignedDuration) -> i64 {
    duration.as_secs().max(0)
}

impl From<orgs::Blocked> for Blocked {
    fn from(blocked: orgs::Blocked) -> Self {
        Self {
            code: blocked.code,
            detail: blocked.detail,
            call: blocked.call,
            since: blocked.since,
            next_try_at: blocked.next_try_at,
        }
    }
}

impl From<Stop> for Stopped {
    fn from(stopped: Stop) -> Self {
        Self { code: stopped.code, by: stopped.by, reason: stopped.reason, since: stopped.since }
    }
}
