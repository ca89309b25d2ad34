//! The state of orgs: their budget, what blocks them, what is running.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use serde_json::Value;

use crate::domain::act::OrgAct;
use crate::domain::keys::Reach;
use crate::domain::recent::RecentCalls;
use crate::store::acts::{self, Done};
use crate::store::orgs::stop::{self, Stop};
use crate::store::purges::load::{NO_TOKEN, UPSTREAM_FAILING};
use crate::store::tx::Rows as _;
use crate::store::{Store, StoreError, Urgency};

/// One org at a moment.
#[derive(Debug, Clone)]
pub struct OrgRow {
    pub name: String,
    /// The calls per minute of upstream's last headers.
    pub allowed_per_minute: Option<u32>,
    /// Permits for calls that were taken in the last minute.
    pub calls_last_minute: u32,
    /// Jobs that hold a slot.
    pub live_jobs: i64,
    /// Jobs that wait for one.
    pub waiting_jobs: i64,
    /// Purges that are not final.
    pub open_purges: i64,
    /// When the last token was got, and when upstream lets it expire.
    pub token: Option<(Timestamp, Timestamp)>,
    /// Why upstream refuses it.
    pub blocked: Option<Blocked>,
    pub stopped: Option<Stop>,
    /// Since when every process that works for it is paused (`engine.paused`).
    pub paused_since: Option<Timestamp>,
    /// Who last stopped it and who resumed it; the latest first.
    pub acts: Vec<Done<OrgAct>>,
    /// Genesys asked to wait until then.
    pub closed_until: Option<Timestamp>,
    /// When this was read.
    pub read_at: Timestamp,
}

/// Why work of an org waits for upstream.
#[derive(Debug, Clone)]
pub struct Blocked {
    pub code: String,
    /// What is missing and what to do, in a sentence.
    pub detail: String,
    /// The kind of call that is refused, or `clock`.
    pub call: String,
    pub since: Timestamp,
    /// When the next try is let through.
    pub next_try_at: Timestamp,
}

impl Store {
    /// Those of the orgs with these names that are within the reach, by name.
    pub async fn orgs(
        &self,
        reach: &Reach,
        names: &[String],
        urgency: Urgency,
    ) -> Result<Vec<OrgRow>, StoreError> {
        let mut tx = self.single_request("orgs", urgency).await?;
        let rows = sqlx::query_as!(
            Row,
            r#"-- orgs
            select
                o.name, o.blocked_call, o.blocked_code, o.blocked_detail, o.blocked_at, o.probe_at, o.stopped_at,
                o.stopped_by, o.stopped_reason, o.rewound_at is not null as "is_rewound!", l.closed_until, l.allowed_per_minute, l.calls, l.called_at,
                l.broken_until as "broken_until: SqlTimestamp", l.broken_since as "broken_since: SqlTimestamp",
                l.broken_call, l.broken_detail,
                lt.since as "trouble_since?", lt.detail as "trouble?", lt.next_try_at as "next_login_at?",
                t.got_at as "got_at?", t.expires_at as "expires_at?", j.live as "live!", j.waiting as "waiting!",
                (
                    select count(*) from purges
                    where org = o.name and state in ('awaiting_approval', 'queued', 'running', 'paused', 'canceling')
                ) as "open_purges!",
                (select since from paused_orgs where org = o.name) as "paused_since: SqlTimestamp",
                (
                    select coalesce(
                        jsonb_agg(jsonb_build_object('act', act, 'by', actor, 'reason', reason, 'at', at) order by at desc), '[]'
                    )
                    from org_acts where org = o.name
                ) as "acts!",
                clock_timestamp() as "read_at!: SqlTimestamp"
            from orgs o
            join limiters l on l.org = o.name
            left join tokens t on t.org = o.name
            left join login_troubles lt on lt.org = o.name
            cross join lateral (
                select count(*) filter (where takes_slot) as live,
                       count(*) filter (where state = 'waiting') as waiting
                from jobs
                where org = o.name and state <> 'done'
            ) j
            where o.name = any($1) and ($2::text[] is null or o.name = any($2))
            order by o.name"#,
            names,
            reach.orgs()
        )
        .all(&mut tx)
        .await?;
        rows.into_iter().map(OrgRow::try_from).collect()
    }
}

/// An org as it is stored.
struct Row {
    name: String,
    blocked_call: Option<String>,
    blocked_code: Option<String>,
    blocked_detail: Option<String>,
    blocked_at: Option<SqlTimestamp>,
    probe_at: Option<SqlTimestamp>,
    stopped_at: Option<SqlTimestamp>,
    stopped_by: Option<String>,
    stopped_reason: Option<String>,
    is_rewound: bool,
    closed_until: SqlTimestamp,
    allowed_per_minute: Option<i32>,
    calls: Vec<i16>,
    called_at: Option<SqlTimestamp>,
    broken_until: Option<SqlTimestamp>,
    broken_since: Option<SqlTimestamp>,
    broken_call: Option<String>,
    broken_detail: Option<String>,
    trouble_since: Option<SqlTimestamp>,
    trouble: Option<String>,
    next_login_at: Option<SqlTimestamp>,
    got_at: Option<SqlTimestamp>,
    expires_at: Option<SqlTimestamp>,
    live: i64,
    waiting: i64,
    open_purges: i64,
    paused_since: Option<SqlTimestamp>,
    acts: Value,
    read_at: SqlTimestamp,
}

impl Row {
    /// The columns of a block are all there, or none is.
    fn blocked(&mut self) -> Option<Blocked> {
        Some(Blocked {
            code: self.blocked_code.take()?,
            detail: self.blocked_detail.take()?,
            call: self.blocked_call.take()?,
            since: self.blocked_at?.to_jiff(),
            next_try_at: self.probe_at?.to_jiff(),
        })
    }

    /// Its calls have no answer.
    fn failing(&mut self) -> Option<Blocked> {
        Some(Blocked {
            code: UPSTREAM_FAILING.to_owned(),
            detail: self.broken_detail.take()?,
            call: self.broken_call.take()?,
            since: self.broken_since?.to_jiff(),
            next_try_at: self.broken_until?.to_jiff(),
        })
    }

    /// It gets no token: nothing is refused, and nothing can be called.
    fn without_token(&mut self) -> Option<Blocked> {
        Some(Blocked {
            code: NO_TOKEN.to_owned(),
            detail: self.trouble.take()?,
            call: "token".to_owned(),
            since: self.trouble_since?.to_jiff(),
            next_try_at: self.next_login_at?.to_jiff(),
        })
    }

    fn stopped(&mut self) -> Option<Stop> {
        Some(Stop {
            code: stop::code(self.is_rewound),
            by: self.stopped_by.take()?,
            reason: self.stopped_reason.take(),
            since: self.stopped_at?.to_jiff(),
        })
    }
}

impl TryFrom<Row> for OrgRow {
    type Error = StoreError;

    fn try_from(mut row: Row) -> Result<Self, StoreError> {
        let read_at = row.read_at.to_jiff();
        let called_at = row.called_at.map(SqlTimestamp::to_jiff);
        let calls = RecentCalls::new(std::mem::take(&mut row.calls), called_at);
        let told = |at: Option<SqlTimestamp>| at.map(SqlTimestamp::to_jiff);
        Ok(Self {
            acts: acts::read(std::mem::take(&mut row.acts))?,
            paused_since: told(row.paused_since),
            allowed_per_minute: row.allowed_per_minute.and_then(|allowed| u32::try_from(allowed).ok()),
            calls_last_minute: calls.within_a_minute(read_at),
            live_jobs: row.live,
            waiting_jobs: row.waiting,
            open_purges: row.open_purges,
            token: told(row.got_at).zip(told(row.expires_at)),
            blocked: row.blocked().or_else(|| row.failing()).or_else(|| row.without_token()),
            stopped: row.stopped(),
            closed_until: Some(row.closed_until.to_jiff()).filter(|until| *until > read_at),
            read_at,
            name: row.name,
        })
    }
}
