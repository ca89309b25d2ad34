//! The due work of an org in one query: the engine chooses its next steps from it.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;
use sqlx::types::Json;

use crate::domain::limiter::{Budget, Permission, in_force};
use crate::domain::pace::Pace;
use crate::domain::terms::OrgTerms;
use crate::store::orgs::hurdle;
use crate::store::tx::{Rows as _, Tx};
use crate::store::{Store, StoreError};

/// An org's work at a moment.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub struct Survey {
    /// The moment, by the database's clock.
    pub now: Timestamp,
    /// The org is blocked.
    pub is_blocked: bool,
    /// An operator stopped it: no work starts.
    pub is_stopped: bool,
    /// Canceled or retried purges need a sweep, waiters must be woken, or a slice be read again.
    pub has_to_sweep: bool,
    /// It is blocked for what facts need: their call, or clocks that agree. Then nothing is submitted, and the tries
    /// that are let through ask for facts.
    pub are_facts_blocked: bool,
    /// Until then: no try is let through before.
    pub shut_until: Option<Timestamp>,
    /// A call is allowed from then on.
    pub permit_at: Timestamp,
    /// The kind of call that met the last 429.
    pub refused_call: Option<String>,
    /// 429s in a row.
    pub refusals: u32,
    /// The last calls had no answer.
    pub has_failures: bool,
    /// The budget of upstream's last headers.
    pub told_per_minute: Option<u32>,
    /// How long jobs are expected to take.
    pub pace: Pace,
    /// Slots that live jobs hold.
    pub slots_taken: usize,
    /// Slots whose job is expected to end within the horizon.
    pub freeing: usize,
    /// When the next slot counts among those that come free.
    pub next_freeing_at: Option<Timestamp>,
    /// Waiting jobs whose intent is due.
    pub intents_due: usize,
    /// Polls that are due.
    pub polls_due: usize,
    /// Looks that are due.
    pub looks_due: usize,
    /// When the next step of a job is due that is not due yet.
    pub next_job_at: Option<Timestamp>,
    /// Eligible conversations that a job could take now, as far as the slots could take them.
    pub drawable: usize,
    /// Conversations whose facts are being asked.
    pub asking: usize,
    /// When the first slice of a new purge or dry run needs facts.
    pub first_slice_at: Option<Timestamp>,
    /// When the first slice of a purge whose conversations slots need does.
    pub for_slots_at: Option<Timestamp>,
    /// When the first slice needs facts.
    pub slice_at: Option<Timestamp>,
}

impl Store {
    /// Looks at an org's work.
    ///
    /// What is due of the jobs and what lies ahead are told apart by one moment, so that nothing falls between them. The two
    /// statements, which are asked at the same time, see two states: whoever acts on this checks again, under the locks.
    pub async fn survey(&self, org: &OrgTerms, horizon: Duration) -> Result<Survey, StoreError> {
        let live = async { live(&mut self.single("survey").await?, org, horizon).await };
        let open = async { open(&mut self.single("survey").await?, org).await };
        let (live, open) = tokio::try_join!(live, open)?;
        Ok(weigh(org, live, &open))
    }
}

/// The limits of the org, and the needs of its jobs.
struct Live {
    now: SqlTimestamp,
    probe_at: Option<SqlTimestamp>,
    intents_from: Option<SqlTimestamp>,
    is_stopped: bool,
    blocked_call: Option<String>,
    arrival_at: SqlTimestamp,
    closed_until: SqlTimestamp,
    allowed_per_minute: Option<i32>,
    refused_call: Option<String>,
    refusals: i32,
    failures: i32,
    broken_until: Option<SqlTimestamp>,
    pace: Json<Pace>,
    slots_taken: i64,
    freeing: i64,
    next_freeing_at: Option<SqlTimestamp>,
    intents_due: i64,
    polls_due: i64,
    looks_due: i64,
    next_at: Option<SqlTimestamp>,
}

async fn live(tx: &mut Tx, org: &OrgTerms, horizon: Duration) -> Result<Live, StoreError> {
    sqlx::query_as!(
        Live,
        r#"-- survey_live
        with clock as materialized (select clock_timestamp() as now)
        select
            clock.now as "now!: SqlTimestamp",
            o.probe_at as "probe_at: SqlTimestamp", o.intents_from as "intents_from: SqlTimestamp", o.blocked_call,
            o.stopped_at is not null as "is_stopped!",
            l.arrival_at, l.closed_until,
            l.allowed_per_minute, l.refused_call, l.refusals, l.failures,
            l.broken_until as "broken_until: SqlTimestamp", p.model as "pace: Json<Pace>",
            j.slots_taken as "slots_taken!", j.freeing as "freeing!",
            j.next_freeing_at as "next_freeing_at: SqlTimestamp", j.intents_due as "intents_due!",
            j.polls_due as "polls_due!", j.looks_due as "looks_due!", j.next_at as "next_at: SqlTimestamp"
        from clock
        cross join orgs o
        join limiters l on l.org = o.name
        join paces p on p.org = o.name
        cross join lateral (
            select
                count(*) filter (where takes_slot) as slots_taken,
                count(*) filter (
                    where state = 'submitted' and expected_end_at <= clock.now + make_interval(secs => $2)
                ) as freeing,
                min(expected_end_at - make_interval(secs => $2)) filter (
                    where state = 'submitted' and expected_end_at > clock.now + make_interval(secs => $2)
                ) as next_freeing_at,
                count(*) filter (where next_step = 'intend' and due_at <= clock.now) as intents_due,
                count(*) filter (where next_step = 'poll' and due_at <= clock.now) as polls_due,
                count(*) filter (
                    where next_step in ('recheck', 'overdue', 'reread', 'verify', 'late') and due_at <= clock.now
                ) as looks_due,
                min(due_at) filter (where next_step is not null and due_at > clock.now) as next_at
            from jobs
            where org = $1 and state <> 'done'
        ) j
        where o.name = $1"#,
        org.name,
        horizon.as_secs_f64()
    )
    .one(tx)
    .await
}

/// This many purges with something to draw are enough: the slots could not take more at once.
const ENOUGH_PURGES: i64 = 500;

/// The needs of the org's purges.
struct Open {
    /// Of the first purges in line.
    drawable: i64,
    drawable_purges: i64,
    asking: i64,
    first_at: Option<SqlTimestamp>,
    for_slots_at: Option<SqlTimestamp>,
    has_to_sweep: bool,
}

/// Each is the first of an index, or some of the first: an org may have a hundred thousand open purges. Even whether there is
/// one is asked in the order of its index, or the planner may hope to meet one soon and read them all.
async fn open(tx: &mut Tx, org: &OrgTerms) -> Result<Open, StoreError> {
    sqlx::query_as!(
        Open,
        r#"-- survey_open
        select
            drawn.drawable as "drawable!", drawn.purges as "drawable_purges!",
            coalesce((
                select sum(asked) from slices where org = $1 and state = 'validating'
            ), 0)::bigint as "asking!",
            (
                select ask_at from purges_asked_first where org = $1 order by ask_at, id limit 1
            ) as "first_at: SqlTimestamp",
            (
                select ask_at from purges_asked_for_slots where org = $1 order by ask_at, id limit 1
            ) as "for_slots_at: SqlTimestamp",
            coalesce(
                (select true from canceled_to_sweep where org = $1 order by open, id limit 1),
                (select true from retried_to_sweep where org = $1 order by total, id limit 1),
                (select true from released where org = $1 order by conversation_id limit 1),
                (
                    select true from slices_set_aside
                    where org = $1 and read_again_at <= (select clock_timestamp())
                    order by read_again_at
                    limit 1
                ),
                false
            ) as "has_to_sweep!"
        from (
            select coalesce(sum(drawable), 0)::bigint as drawable, count(*) as purges
            from (select drawable from purges_drawable where org = $1 order by turn_at, id limit 500) first
        ) drawn"#,
        org.name
    )
    .one(tx)
    .await
}

fn weigh(org: &OrgTerms, live: Live, open: &Open) -> Survey {
    let now = live.now.to_jiff();
    let told_per_minute = live.allowed_per_minute.and_then(|allowed| u32::try_from(allowed).ok());
    let opens_at = match in_force(org.per_minute, told_per_minute).map(Budget::per_minute) {
        Some(budget) => match budget.take(live.arrival_at.to_jiff(), now) {
            Permission::Granted(_) => now,
            Permission::NotBefore(then) => then,
        },
        None => now,
    };
    let count = |number: i64| usize::try_from(number).unwrap_or_default();
    let enough =
        if open.drawable_purges >= ENOUGH_PURGES { org.slots.saturating_mul(org.max_batch) } else { 0 };
    let drawable = count(open.drawable).max(enough);
    let first_slice_at = open.first_at.map(SqlTimestamp::to_jiff);
    let for_slots_at = open.for_slots_at.map(SqlTimestamp::to_jiff);
    Survey {
        now,
        is_blocked: live.probe_at.is_some(),
        is_stopped: live.is_stopped,
        has_to_sweep: open.has_to_sweep,
        are_facts_blocked: live.blocked_call.is_some_and(|call| hurdle::blocks_facts(&call)),
        shut_until: [live.probe_at, live.intents_from]
            .into_iter()
            .filter_map(|until| until.map(SqlTimestamp::to_jiff).filter(|until| *until > now))
            .max(),
        permit_at: live
            .broken_until
            .map_or(opens_at, |until| opens_at.max(until.to_jiff()))
            .max(live.closed_until.to_jiff()),
        refused_call: live.refused_call,
        refusals: u32::try_from(live.refusals).unwrap_or_default(),
        has_failures: live.failures > 0,
        told_per_minute,
        pace: live.pace.0,
        slots_taken: count(live.slots_taken),
        freeing: count(live.freeing),
        next_freeing_at: live.next_freeing_at.map(SqlTimestamp::to_jiff),
        intents_due: count(live.intents_due),
        polls_due: count(live.polls_due),
        looks_due: count(live.looks_due),
        next_job_at: live.next_at.map(SqlTimestamp::to_jiff),
        drawable,
        asking: count(open.asking),
        first_slice_at,
        for_slots_at,
        slice_at: [first_slice_at, for_slots_at].into_iter().flatten().min(),
    }
}
