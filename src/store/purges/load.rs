//! Reads purges: a few bytes each, however many conversations they have.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde_json::Value;
use uuid::Uuid;

use super::accept::NewPurge;
use crate::domain::act::Act;
use crate::domain::counts::{Counts, Tally};
use crate::domain::keys::Reach;
use crate::domain::outcome::Outcome;
use crate::domain::progress::Milestones;
use crate::domain::state::PurgeState;
use crate::intake::Spooled;
use crate::store::acts::{self, Done};
use crate::store::orgs::stop;
use crate::store::slices::milestones;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError, Urgency};

/// The current state of a purge.
#[derive(Debug, Clone)]
pub struct Purge {
    pub id: Uuid,
    pub state: PurgeState,
    /// Which run it is in.
    pub run: i32,
    pub org: String,
    /// Why it was asked for.
    pub reason: Option<String>,
    /// The caller's own name for it.
    pub reference: Option<String>,
    pub labels: Value,
    /// A dry run.
    pub is_dry_run: bool,
    /// The counts of its conversations.
    pub counts: Tally,
    /// How they stood at two moments before; nothing until the first changed.
    pub milestones: Option<Milestones>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it was first checked with Genesys.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub finished_at: Option<Timestamp>,
    /// The name of the key that asked for it.
    pub requested_by: String,
    /// The webhook endpoint that it named.
    pub endpoint: Option<Uuid>,
    /// Its unreadable slices.
    pub parked: Option<Parked>,
    /// Why the service paused it, if it did.
    pub paused_for: Option<String>,
    /// Its last act of each kind, the latest first.
    pub acts: Vec<Done<Act>>,
    /// Why its org's work waits, if it does: code and sentence.
    pub blocked: Option<(String, String)>,
    /// When this was read.
    pub read_at: Timestamp,
}

/// Conversations of a purge that wait until somebody has repaired their slices.
#[derive(Debug, Clone)]
pub struct Parked {
    pub slices: i64,
    pub conversations: i64,
    /// Since the first was parked.
    pub since: Timestamp,
    /// The error of the first.
    pub error: String,
}

impl Purge {
    /// The purge of this wish, which was accepted at that time.
    pub(super) fn accepted(id: Uuid, new: &NewPurge, spooled: &Spooled, at: Timestamp) -> Self {
        let mut counts = Counts::default();
        counts[Outcome::Pending] = i64::try_from(spooled.distinct()).unwrap_or(i64::MAX);
        Self {
            id,
            state: PurgeState::Queued,
            run: 1,
            org: new.org.clone(),
            reason: new.reason.clone(),
            reference: new.reference.clone(),
            labels: new.labels.clone(),
            is_dry_run: new.is_dry_run,
            counts: Tally::new(&counts, i64::try_from(spooled.duplicates()).unwrap_or(i64::MAX)),
            milestones: None,
            created_at: at,
            started_at: None,
            finished_at: None,
            requested_by: new.requested_by.clone(),
            endpoint: new.webhook.as_ref().map(|webhook| webhook.id),
            parked: None,
            paused_for: None,
            acts: Vec::new(),
            blocked: None,
            read_at: at,
        }
    }

    /// The purge as it was when it was accepted: the answer to the request for it and to every repeat of that.
    #[must_use]
    pub fn as_accepted(self) -> Self {
        let mut counts = Counts::default();
        counts[Outcome::Pending] = self.counts.total;
        Self {
            state: PurgeState::Queued,
            run: 1,
            counts: Tally::new(&counts, self.counts.duplicates),
            milestones: None,
            started_at: None,
            finished_at: None,
            parked: None,
            paused_for: None,
            acts: Vec::new(),
            blocked: None,
            ..self
        }
    }
}

impl Store {
    pub async fn purge(&self, reach: &Reach, id: Uuid) -> Result<Option<Purge>, StoreError> {
        let mut tx = self.single_request("purge", Urgency::Ordinary).await?;
        Ok(load(&mut tx, reach, &[id]).await?.pop())
    }

    /// Its org, whose lock covers the purge.
    pub(super) async fn org_of(&self, reach: &Reach, purge: Uuid) -> Result<Option<String>, StoreError> {
        let mut tx = self.single_request("org_of_purge", Urgency::Protecting).await?;
        sqlx::query_scalar!(
            "-- org_of_purge
            select org from purges where id = $1 and ($2::text[] is null or org = any($2))",
            purge,
            reach.orgs()
        )
        .maybe(&mut tx)
        .await
    }
}

/// Whether the purge exists within the caller's reach: lists of a missing purge are not found, rather than empty.
pub(in crate::store) async fn is_there(tx: &mut Tx, reach: &Reach, id: Uuid) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"-- is_there
        select exists (
            select from purges where id = $1 and ($2::text[] is null or org = any($2))
        ) as "is_there!""#,
        id,
        reach.orgs()
    )
    .one(tx)
    .await
}

/// The purge that this transaction has just written.
pub(super) async fn load_one(tx: &mut Tx, id: Uuid) -> Result<Purge, StoreError> {
    load(tx, &Reach::all(), &[id])
        .await?
        .pop()
        .ok_or_else(|| StoreError::Unreadable { what: "purge", detail: format!("{id} is gone") })
}

/// Those of the purges with these ids that are within the reach, newest first.
pub(in crate::store) async fn load(
    tx: &mut Tx,
    reach: &Reach,
    ids: &[Uuid],
) -> Result<Vec<Purge>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"-- purges
        select p.id, p.state as "state: PurgeState", p.run, p.org, p.reason, p.reference, p.labels, p.dry_run,
               p.created_at, p.started_at, p.finished_at, p.requested_by, p.duplicates, p.pending, p.eligible,
               p.submitted, p.purged, p.already_purged, p.on_hold, p.retained, p.not_found, p.active, p.failed,
               p.canceled, p.would_purge, (select id from webhook_endpoints where purge_id = p.id) as endpoint, p.paused_for, p.rate_at, p.rate_settled, p.rate_from_at, p.rate_from_settled,
               o.blocked_code, o.blocked_detail, o.stopped_by as "stopped_by?", o.stopped_reason as "stopped_reason?",
               o.rewound_at is not null as "is_rewound!",
               exists (select from paused_orgs where org = p.org) as "is_engine_paused!",
               (
                   select coalesce(
                       jsonb_agg(jsonb_build_object('act', act, 'by', actor, 'reason', reason, 'at', at) order by at desc), '[]'
                   )
                   from purge_acts where purge_id = p.id
               ) as "acts!",
               l.broken_detail, t.detail as "login_trouble?", parked.slices as "parked_slices!", parked.conversations as parked_conversations,
               parked.since as "parked_since: SqlTimestamp", parked.error as parked_error,
               clock_timestamp() as "read_at!: SqlTimestamp"
        from purges p
        join orgs o on o.name = p.org
        join limiters l on l.org = p.org
        left join login_troubles t on t.org = p.org
        cross join lateral (
            select count(*) as slices, sum(conversations)::bigint as conversations, min(parked_at) as since,
                   (array_agg(unreadable_why order by parked_at, slice_no))[1] as error
            from slices_set_aside
            where purge_id = p.id and parked_at is not null
        ) parked
        where p.id = any($1) and ($2::text[] is null or p.org = any($2))
        order by p.id desc"#,
        ids,
        reach.orgs()
    )
    .all(tx)
    .await?;
    rows.into_iter().map(Purge::try_from).collect()
}

/// The code of an org that gets no token.
pub(in crate::store) const NO_TOKEN: &str = "no_token";

/// The code of an org whose calls get no answer.
pub(in crate::store) const UPSTREAM_FAILING: &str = "upstream_failing";

/// The code of an org whose processes are all paused.
pub const ENGINE_PAUSED: &str = "engine_paused";

/// Its meaning and what to do.
pub const PAUSED: &str = "engine.paused is true: nothing is begun, what runs upstream is followed to its end; to go on, set it to false and restart the \
     workers";

/// A purge as it is stored.
struct Row {
    id: Uuid,
    state: PurgeState,
    run: i32,
    org: String,
    reason: Option<String>,
    reference: Option<String>,
    labels: Value,
    dry_run: bool,
    created_at: SqlTimestamp,
    started_at: Option<SqlTimestamp>,
    finished_at: Option<SqlTimestamp>,
    requested_by: String,
    duplicates: i64,
    pending: i64,
    eligible: i64,
    submitted: i64,
    purged: i64,
    already_purged: i64,
    on_hold: i64,
    retained: i64,
    not_found: i64,
    active: i64,
    failed: i64,
    canceled: i64,
    would_purge: i64,
    endpoint: Option<Uuid>,
    paused_for: Option<String>,
    rate_at: Option<SqlTimestamp>,
    rate_settled: Option<i64>,
    rate_from_at: Option<SqlTimestamp>,
    rate_from_settled: Option<i64>,
    blocked_code: Option<String>,
    blocked_detail: Option<String>,
    broken_detail: Option<String>,
    login_trouble: Option<String>,
    parked_slices: i64,
    parked_conversations: Option<i64>,
    parked_since: Option<SqlTimestamp>,
    parked_error: Option<String>,
    stopped_by: Option<String>,
    stopped_reason: Option<String>,
    is_rewound: bool,
    is_engine_paused: bool,
    acts: Value,
    read_at: SqlTimestamp,
}

/// The counts in the row of a purge.
macro_rules! counts_of {
    ($row:expr) => {{
        use $crate::domain::outcome::Outcome;
        let (row, mut counts) = (&$row, $crate::domain::counts::Counts::default());
        counts[Outcome::Pending] = row.pending;
        counts[Outcome::Eligible] = row.eligible;
        counts[Outcome::Submitted] = row.submitted;
        counts[Outcome::Purged] = row.purged;
        counts[Outcome::AlreadyPurged] = row.already_purged;
        counts[Outcome::OnHold] = row.on_hold;
        counts[Outcome::Retained] = row.retained;
        counts[Outcome::NotFound] = row.not_found;
        counts[Outcome::Active] = row.active;
        counts[Outcome::Failed] = row.failed;
        counts[Outcome::Canceled] = row.canceled;
        counts[Outcome::WouldPurge] = row.would_purge;
        counts
    }};
}

pub(in crate::store) use counts_of;

impl TryFrom<Row> for Purge {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let counts = counts_of!(row);
        let state: PurgeState = row.state;
        let stopped = row.stopped_by.map(|by| {
            let reason = row.stopped_reason.map_or_else(String::new, |reason| format!(": {reason}"));
            let detail = format!("{by} stopped the org{reason}; it goes on when it is resumed");
            (stop::code(row.is_rewound).to_owned(), detail)
        });
        let failing = row.broken_detail.map(|detail| (UPSTREAM_FAILING.to_owned(), detail));
        let no_token = row.login_trouble.map(|detail| (NO_TOKEN.to_owned(), detail));
        let parked = row.parked_since.zip(row.parked_error).map(|(since, error)| Parked {
            slices: row.parked_slices,
            conversations: row.parked_conversations.unwrap_or_default(),
            since: since.to_jiff(),
            error,
        });
        let paused = row.is_engine_paused.then(|| (ENGINE_PAUSED.to_owned(), PAUSED.to_owned()));
        let blocked =
            stopped.or(paused).or(row.blocked_code.zip(row.blocked_detail)).or(failing).or(no_token);
        Ok(Self {
            id: row.id,
            state,
            run: row.run,
            org: row.org,
            reason: row.reason,
            reference: row.reference,
            labels: row.labels,
            is_dry_run: row.dry_run,
            counts: Tally::new(&counts, row.duplicates),
            milestones: milestones::read(
                (row.rate_at, row.rate_settled),
                (row.rate_from_at, row.rate_from_settled),
            ),
            created_at: row.created_at.to_jiff(),
            started_at: row.started_at.map(SqlTimestamp::to_jiff),
            finished_at: row.finished_at.map(SqlTimestamp::to_jiff),
            requested_by: row.requested_by,
            endpoint: row.endpoint,
            parked,
            acts: acts::read(row.acts)?,
            paused_for: row.paused_for.filter(|_| state == PurgeState::Paused),
            blocked: blocked.filter(|_| !state.is_final()),
            read_at: row.read_at.to_jiff(),
        })
    }
}
