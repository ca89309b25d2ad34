//! The budget of calls of an org, counted for all replicas in one row.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx};

use super::block::PROBE_EVERY;
use super::breaker;
use super::policy::{Rules, RulesRow};
use crate::domain::breaker::{Breaker, LONGEST_WAIT};
use crate::domain::limiter::{Budget, LONGEST_SILENCE, PERMIT_LIFE, Permission, WINDOW, in_force};
use crate::domain::recent::RecentCalls;
use crate::domain::terms::OrgTerms;
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// The kinds of calls that need a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Details,
    Submit,
    /// Asks after a job.
    Poll,
}

impl Call {
    /// Its spelling in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Details => "details",
            Self::Submit => "submit",
            Self::Poll => "poll",
        }
    }
}

/// The right to one call, for a moment.
#[derive(Debug, Clone, Copy)]
pub struct Permit {
    /// It is void from then on.
    pub valid_until: Instant,
}

/// Takes a permit, as the last lock of its transaction; otherwise returns how long until there may be one.
pub(in crate::store) async fn take(
    tx: &mut Tx,
    org: &OrgTerms,
    call: Call,
) -> Result<Result<Permit, Duration>, StoreError> {
    let granted = match grant(tx, org, call).await? {
        Ok(granted) => granted,
        Err(wait) => return Ok(Err(wait)),
    };
    sqlx::query!(
        "-- take_permit
        update limiters
        set arrival_at = $2, calls = $3, called_at = greatest(called_at, $4), broken_until = $5, is_probing = $6
        where org = $1",
        org.name,
        granted.arrival_at.to_sqlx() as _,
        granted.recent.per_second(),
        granted.now.to_sqlx() as _,
        granted.breaker.open_until.map(ToSqlx::to_sqlx) as _,
        granted.breaker.is_probing
    )
    .run(tx)
    .await?;
    tracing::trace!(call = call.as_str(), "permit taken");
    Ok(Ok(granted.permit))
}

/// The same for a question, with the rules by which its answer is judged: read under the lock, in the same statement.
pub(in crate::store) async fn take_by_rules(
    tx: &mut Tx,
    org: &OrgTerms,
) -> Result<Result<(Permit, Rules), Duration>, StoreError> {
    let granted = match grant(tx, org, Call::Details).await? {
        Ok(granted) => granted,
        Err(wait) => return Ok(Err(wait)),
    };
    let row = sqlx::query_as!(
        RulesRow,
        r#"-- take_permit_by_rules
        with taken as (
            update limiters
            set arrival_at = $2, calls = $3, called_at = greatest(called_at, $4), broken_until = $5, is_probing = $6
            where org = $1
        )
        select policy as "policy: _", policy_epoch, stopped_at is not null as "is_stopped!", blocked_call,
               clock_timestamp() as "read_at!: _",
               (
                   select coalesce(jsonb_agg(jsonb_build_object(
                       'id', conversation_id, 'missed', missed, 'is_missed_alone', is_missed_alone
                   ) order by missed, seen_at desc, conversation_id), '[]')
                   from controls_known
                   where org = $1
               ) as "controls!: _"
        from orgs
        where name = $1"#,
        org.name,
        granted.arrival_at.to_sqlx() as _,
        granted.recent.per_second(),
        granted.now.to_sqlx() as _,
        granted.breaker.open_until.map(ToSqlx::to_sqlx) as _,
        granted.breaker.is_probing
    )
    .one(tx)
    .await?;
    tracing::trace!(call = Call::Details.as_str(), "permit taken");
    Ok(Ok((granted.permit, row.into())))
}

/// What a permit leaves of the budget; the limiter's row is locked.
struct Granted {
    permit: Permit,
    now: Timestamp,
    arrival_at: Timestamp,
    recent: RecentCalls,
    breaker: Breaker,
}

async fn grant(tx: &mut Tx, org: &OrgTerms, call: Call) -> Result<Result<Granted, Duration>, StoreError> {
    // Measured from before the row is read, so that a slow database makes a permit shorter, never longer.
    let permit = Permit { valid_until: Instant::now() + PERMIT_LIFE };
    let row = sqlx::query!(
        r#"-- lock_limiter
        select arrival_at, closed_until, allowed_per_minute, calls, called_at, failures,
               broken_until as "broken_until: SqlTimestamp", is_probing,
               clock_timestamp() as "now!: SqlTimestamp"
        from limiters
        where org = $1
        for update"#,
        org.name
    )
    .one(tx)
    .await?;
    // After waiting for the lock the time may be outdated: then the budget is read too strictly, never too freely.
    let now = row.now.to_jiff();
    let closed_until = row.closed_until.to_jiff();
    if closed_until > now {
        tx.meters.permit_refused(&org.name, call.as_str());
        return Ok(Err(until(closed_until, now)));
    }
    let breaker = match breaker::read(row.failures, row.broken_until, row.is_probing).ask(now) {
        Ok(breaker) => breaker,
        Err(then) => {
            tx.meters.permit_refused(&org.name, call.as_str());
            return Ok(Err(until(then, now)));
        }
    };
    let told = row.allowed_per_minute.and_then(|allowed| u32::try_from(allowed).ok());
    let arrival_at = row.arrival_at.to_jiff();
    let arrival_at = match in_force(org.per_minute, told).map(Budget::per_minute) {
        None => arrival_at,
        Some(budget) => match budget.take(arrival_at, now) {
            Permission::Granted(arrival_at) => arrival_at,
            Permission::NotBefore(then) => {
                tx.meters.permit_refused(&org.name, call.as_str());
                return Ok(Err(until(then, now)));
            }
        },
    };
    let mut recent = RecentCalls::new(row.calls, row.called_at.map(SqlTimestamp::to_jiff));
    recent.note(now);
    Ok(Ok(Granted { permit, now, arrival_at, recent, breaker }))
}

fn until(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

impl Store {
    /// Takes a permit for a further call of a running step.
    pub async fn take_permit(
        &self,
        org: &OrgTerms,
        call: Call,
    ) -> Result<Result<Permit, Duration>, StoreError> {
        self.retried(|| self.try_take_permit(org, call)).await
    }

    async fn try_take_permit(
        &self,
        org: &OrgTerms,
        call: Call,
    ) -> Result<Result<Permit, Duration>, StoreError> {
        let mut tx = self.begin("take_permit").await?;
        let permit = take(&mut tx, org, call).await?;
        tx.commit().await?;
        Ok(permit)
    }

    /// A 429: the whole org is silent for that long, on all replicas, and that kind of call goes last.
    pub async fn close_limiter(&self, org: &str, call: Call, wait: Duration) -> Result<(), StoreError> {
        self.retried(|| self.try_close_limiter(org, call, wait)).await
    }

    async fn try_close_limiter(&self, org: &str, call: Call, wait: Duration) -> Result<(), StoreError> {
        let mut tx = self.begin("close_limiter").await?;
        sqlx::query!(
            "-- close_limiter
            update limiters
            set closed_until = greatest(closed_until, clock_timestamp() + make_interval(secs => $3)),
                refusals = least(refusals + 1, 1000), refused_call = $2
            where org = $1",
            org,
            call.as_str(),
            wait.as_secs_f64()
        )
        .run(&mut tx)
        .await?;
        tx.commit().await
    }

    /// Moves what lies further ahead than anybody writes it to the furthest where it may be; tells for how many orgs. The
    /// clock that was ahead when it was written is not any more.
    pub async fn bring_back_times(&self) -> Result<u64, StoreError> {
        let mut tx = self.begin("bring_back_times").await?;
        let probes = sqlx::query!(
            "-- bring_back_probes
            with ahead as (
                select name from orgs
                where probe_at > clock_timestamp() + make_interval(secs => $1)
                order by name
                for no key update
            )
            update orgs o set probe_at = clock_timestamp() + make_interval(secs => $1)
            from ahead where o.name = ahead.name",
            PROBE_EVERY.as_secs_f64()
        )
        .run(&mut tx)
        .await?;
        let limiters = sqlx::query!(
            "-- bring_back_limiters
            update limiters
            set arrival_at = least(arrival_at, clock_timestamp() + make_interval(secs => $1)),
                closed_until = least(closed_until, clock_timestamp() + make_interval(secs => $2)),
                broken_until = case when broken_until is not null
                    then least(broken_until, clock_timestamp() + make_interval(secs => $3)) end
            where arrival_at > clock_timestamp() + make_interval(secs => $1)
               or closed_until > clock_timestamp() + make_interval(secs => $2)
               or broken_until > clock_timestamp() + make_interval(secs => $3)",
            WINDOW.as_secs_f64(),
            LONGEST_SILENCE.as_secs_f64(),
            LONGEST_WAIT.as_secs_f64()
        )
        .run(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(probes.max(limiters))
    }

    /// A call of that kind was accepted: a row of refusals is over. Remembers a budget that upstream's headers told.
    pub async fn note_success(&self, org: &str, call: Call, told: Option<u32>) -> Result<(), StoreError> {
        self.retried(|| self.try_note_success(org, call, told)).await
    }

    async fn try_note_success(&self, org: &str, call: Call, told: Option<u32>) -> Result<(), StoreError> {
        let mut tx = self.begin("note_success").await?;
        sqlx::query!(
            "-- note_success
            update limiters
            set refusals = case when refused_call = $2 then 0 else refusals end,
                refused_call = nullif(refused_call, $2),
                allowed_per_minute = coalesce($3, allowed_per_minute)
            where org = $1",
            org,
            call.as_str(),
            told.and_then(|told| i32::try_from(told).ok())
        )
        .run(&mut tx)
        .await?;
        tx.commit().await
    }
}
