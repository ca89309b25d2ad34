//! Claims deliveries, from each endpoint in turn no more than it may be sent at once, so that no endpoint delays
//! another.
//!
//! Endpoints with due deliveries are found one by one in an index, a limited number at a time, round robin. The cost
//! does not depend on how many of their deliveries wait.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

use super::{RETENTION, WAKE};
use crate::domain::endpoints::FAILING;
use crate::store::secrets::{RETENTION_SECRET, kept_secrets};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// Endpoints per transaction.
const LANES: i32 = 200;

/// How many deliveries of a disabled endpoint are given up per transaction.
const BURIED: i64 = 500;

/// What a courier (the task that sends) can take.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Maximum deliveries to the operator and to registered endpoints.
    pub room: usize,
    /// Maximum to receivers that a purge named.
    pub room_of_purges: usize,
    /// Maximum of one endpoint, including running attempts.
    pub at_once: usize,
    /// The same for an endpoint whose last delivery succeeded.
    pub at_once_trusted: usize,
    pub trusted: Vec<String>,
    /// Running attempts, by endpoint.
    pub under_way: BTreeMap<String, usize>,
    /// The operator's receiver is configured.
    pub to_operator: bool,
    /// The endpoint behind which to look.
    pub after: String,
    /// How long an attempt may take.
    pub lease: Duration,
}

/// A delivery that was claimed for one attempt.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: Uuid,
    pub epoch: i64,
    /// The event: the same `webhook-id` at every attempt.
    pub event_id: Uuid,
    pub endpoint: String,
    /// A purge named its receiver.
    pub is_of_purge: bool,
    /// The purge, if it is about exactly one.
    pub purge: Option<Uuid>,
    /// The bytes to sign and send.
    pub payload: String,
    /// Attempts that were recorded so far, and this one.
    pub attempt: u32,
    /// Those among them that count for the schedule.
    pub tries: u32,
}

/// The address of an endpoint, and its signing secrets.
#[derive(Debug, Clone)]
pub struct Target {
    pub url: String,
    /// The present one, and the one before as long as it signs, too.
    pub secrets: Vec<SecretString>,
}

/// What was claimed.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// In the order in which they became due.
    pub deliveries: Vec<Delivery>,
    /// Of the endpoints among them that are registered.
    pub targets: BTreeMap<String, Target>,
    /// How long until something else is due, among the endpoints seen.
    pub next: Option<Duration>,
    /// The endpoint behind which there is more to look at now.
    pub more: Option<String>,
}

/// An endpoint with something to send.
struct Lane {
    endpoint: String,
    /// How many may be sent now.
    room: i64,
    wait: Option<f64>,
    is_closed: bool,
    is_of_purge: bool,
}

impl Store {
    /// Claims deliveries that are due.
    ///
    /// An attempt counts when it is recorded: a process that died while it sent uses up none. But each claim without a
    /// record doubles the lease of the next, up to 256 times, so that a delivery that kills its process does so less
    /// and less often.
    pub async fn claim_deliveries(&self, wanted: &Wanted) -> Result<Claimed, StoreError> {
        self.retried(|| self.try_claim_deliveries(wanted)).await
    }

    async fn try_claim_deliveries(&self, wanted: &Wanted) -> Result<Claimed, StoreError> {
        let mut tx = self.begin("claim_deliveries").await?;
        let lanes = lanes(&mut tx, wanted).await?;
        let is_circle_done = lanes.len() < usize::try_from(LANES).unwrap_or(usize::MAX);
        let mut more = lanes.last().filter(|_| !is_circle_done).map(|lane| lane.endpoint.clone());
        let closed: Vec<&str> =
            lanes.iter().filter(|lane| lane.is_closed).map(|lane| lane.endpoint.as_str()).collect();
        if !closed.is_empty() && bury(&mut tx, &closed).await? {
            more = Some(String::new());
        }
        let open: Vec<&Lane> = lanes.iter().filter(|lane| !lane.is_closed && lane.room > 0).collect();
        let (of_purges, registered): (Vec<&Lane>, Vec<&Lane>) =
            open.iter().copied().partition(|lane| lane.is_of_purge);
        let mut deliveries = claim(&mut tx, &registered, wanted.room, wanted.lease).await?;
        let is_full = deliveries.len() == wanted.room;
        deliveries.extend(claim(&mut tx, &of_purges, wanted.room_of_purges, wanted.lease).await?);
        let targets = targets(&mut tx, &deliveries).await?;
        tx.commit().await?;
        let next = open.iter().filter_map(|lane| lane.wait).min_by(f64::total_cmp);
        if is_full {
            // The endpoint after the last one served comes first the next time.
            more = deliveries.iter().map(|delivery| delivery.endpoint.clone()).max();
        }
        let next = next.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        Ok(Claimed { deliveries, targets, next, more })
    }

    /// Deliveries to the operator's receiver that wait for an attempt, counted up to a maximum.
    pub async fn waiting_deliveries(&self, at_most: i64) -> Result<i64, StoreError> {
        let mut tx = self.begin("waiting_deliveries").await?;
        sqlx::query_scalar!(
            r#"-- waiting_deliveries
            select count(*) as "waiting!"
            from (select from deliveries where state = 'pending' and endpoint = $2 limit $1) waiting"#,
            at_most,
            RETENTION
        )
        .one(&mut tx)
        .await
    }

    /// Lets go of deliveries that were not sent: another process sends them at once.
    pub async fn give_back_deliveries(&self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin("give_back_deliveries").await?;
        sqlx::query!(
            "-- give_back_deliveries
            update deliveries d set lease_until = null
            from unnest($1::uuid[], $2::bigint[]) as claimed (id, epoch)
            where d.id = claimed.id and d.epoch = claimed.epoch and d.state = 'pending'",
            &deliveries.iter().map(|delivery| delivery.id).collect::<Vec<_>>(),
            &deliveries.iter().map(|delivery| delivery.epoch).collect::<Vec<_>>()
        )
        .run(&mut tx)
        .await?;
        tx.will_wake(WAKE);
        tx.commit().await
    }
}

/// The next endpoints with something to send, and how much of it may be sent now.
async fn lanes(tx: &mut Tx, wanted: &Wanted) -> Result<Vec<Lane>, StoreError> {
    let busy = |count: &usize| i64::try_from(*count).unwrap_or(i64::MAX);
    let rows = sqlx::query!(
        r#"-- delivery_lanes
        with recursive lane as (
            (
                select endpoint, 1 as number from deliveries
                where state = 'pending' and endpoint > $1
                order by endpoint
                limit 1
            )
            union all
            select found.endpoint, lane.number + 1
            from lane
            cross join lateral (
                select endpoint from deliveries
                where state = 'pending' and endpoint > lane.endpoint
                order by endpoint
                limit 1
            ) found
            where lane.number < $2
        )
        select lane.endpoint as "endpoint!",
               case when h.failures >= $3 then 1 when lane.endpoint = any($10) then $9::bigint else $4::bigint end
                   - coalesce(busy.number, 0) as "room!",
               greatest(extract(epoch from first.due - clock_timestamp()),
                        extract(epoch from h.open_until - clock_timestamp()))::float8 as wait,
               lane.endpoint <> $7 and (e.id is null or not e.enabled) as "is_closed!",
               e.purge_id is not null as "is_of_purge!"
        from lane
        left join endpoint_health h on h.endpoint = lane.endpoint
        -- Of what a later version knows and this one does not, nothing is sent, and nothing is given up.
        left join webhook_endpoints e on e.id = case when lane.endpoint ~ '^[0-9a-f-]{36}$' then lane.endpoint::uuid end
        left join unnest($5::text[], $6::bigint[]) as busy (endpoint, number) on busy.endpoint = lane.endpoint
        left join lateral (
            select coalesce(due_at, run_at) as due from deliveries
            where state = 'pending' and endpoint = lane.endpoint
              and (lease_until is null or lease_until < clock_timestamp())
            order by coalesce(due_at, run_at)
            limit 1
        ) first on true
        where case when lane.endpoint = $7 then $8 else lane.endpoint ~ '^[0-9a-f-]{36}$' end
        order by lane.endpoint"#,
        wanted.after,
        LANES,
        i32::try_from(FAILING).unwrap_or(i32::MAX),
        i64::try_from(wanted.at_once).unwrap_or(i64::MAX),
        &wanted.under_way.keys().cloned().collect::<Vec<_>>(),
        &wanted.under_way.values().map(busy).collect::<Vec<_>>(),
        RETENTION,
        wanted.to_operator,
        i64::try_from(wanted.at_once_trusted).unwrap_or(i64::MAX),
        &wanted.trusted
    )
    .all(tx)
    .await?;
    let lanes = rows.into_iter().map(|row| Lane {
        endpoint: row.endpoint,
        room: row.room,
        wait: row.wait,
        is_closed: row.is_closed,
        is_of_purge: row.is_of_purge,
    });
    Ok(lanes.collect())
}

/// Claims due deliveries of these endpoints, which are of one kind, from each as many as it may be sent.
async fn claim(
    tx: &mut Tx,
    lanes: &[&Lane],
    room: usize,
    lease: Duration,
) -> Result<Vec<Delivery>, StoreError> {
    let due: Vec<&&Lane> = lanes.iter().filter(|lane| lane.wait.is_some_and(|wait| wait <= 0.0)).collect();
    if due.is_empty() || room == 0 {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"-- claim_deliveries
        with due as (
            select found.id
            from unnest($1::text[], $2::bigint[]) as lane (endpoint, room)
            cross join lateral (
                select id, coalesce(due_at, run_at) as due from deliveries
                where state = 'pending' and endpoint = lane.endpoint and coalesce(due_at, run_at) <= clock_timestamp()
                  and (lease_until is null or lease_until < clock_timestamp())
                order by coalesce(due_at, run_at), id
                limit lane.room
                for update skip locked
            ) found
            limit $3
        ), claimed as (
            update deliveries d
            set lease_until = clock_timestamp() + make_interval(secs => $4 * power(2, least(d.epoch - d.attempt, 8))),
                epoch = d.epoch + 1
            where d.id = any(array(select id from due))
            returning d.*
        )
        select c.id as "id!", c.epoch as "epoch!", c.event_id as "event_id!", c.endpoint as "endpoint!", e.purge_id,
               c.payload as "payload!", c.attempt as "attempt!", c.schedule_from as "schedule_from!"
        from claimed c
        join events e on e.id = c.event_id
        order by coalesce(c.due_at, c.run_at), c.id"#,
        &due.iter().map(|lane| lane.endpoint.clone()).collect::<Vec<_>>(),
        &due.iter().map(|lane| lane.room).collect::<Vec<_>>(),
        i64::try_from(room).unwrap_or(i64::MAX),
        lease.as_secs_f64()
    )
    .all(tx)
    .await?;
    let is_of_purge = lanes.first().is_some_and(|lane| lane.is_of_purge);
    let number = |of: i32| u32::try_from(of).unwrap_or_default();
    let deliveries = rows.into_iter().map(|row| {
        let attempt = row.attempt.saturating_add(1);
        Delivery {
            id: row.id,
            epoch: row.epoch,
            event_id: row.event_id,
            endpoint: row.endpoint,
            is_of_purge,
            purge: row.purge_id,
            payload: row.payload,
            attempt: number(attempt),
            tries: number(attempt - row.schedule_from),
        }
    });
    Ok(deliveries.collect())
}

/// Gives up waiting deliveries of disabled endpoints; returns whether there may be more.
async fn bury(tx: &mut Tx, endpoints: &[&str]) -> Result<bool, StoreError> {
    let endpoints: Vec<String> = endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect();
    let buried = sqlx::query!(
        "-- bury_deliveries
        update deliveries d
        set state = 'dead', lease_until = null, epoch = epoch + 1,
            last_error = 'not sent: the endpoint is disabled or deleted'
        where d.id = any(array(
            select id from deliveries
            where state = 'pending' and endpoint = any($1)
            limit $2
            for update skip locked
        ))",
        &endpoints,
        BURIED
    )
    .run(tx)
    .await?;
    Ok(i64::try_from(buried).is_ok_and(|buried| buried == BURIED))
}

/// The addresses of the registered endpoints, and the signing secrets of these and of the operator's receiver.
async fn targets(tx: &mut Tx, deliveries: &[Delivery]) -> Result<BTreeMap<String, Target>, StoreError> {
    let mut targets = BTreeMap::new();
    if deliveries.iter().any(|delivery| delivery.endpoint == RETENTION) {
        let secrets = kept_secrets(tx, RETENTION_SECRET).await?;
        targets.insert(RETENTION.to_owned(), Target { url: String::new(), secrets });
    }
    let mut ids: Vec<Uuid> =
        deliveries.iter().filter_map(|delivery| Uuid::try_parse(&delivery.endpoint).ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(targets);
    }
    let rows = sqlx::query!(
        "-- delivery_targets
        select id, url, secret, case when previous_until > clock_timestamp() then previous_secret end as previous
        from webhook_endpoints
        where id = any($1)",
        &ids
    )
    .all(tx)
    .await?;
    targets.extend(rows.into_iter().map(|row| {
        let secrets = std::iter::once(row.secret).chain(row.previous).map(SecretString::from).collect();
        (row.id.to_string(), Target { url: row.url, secrets })
    }));
    Ok(targets)
}
