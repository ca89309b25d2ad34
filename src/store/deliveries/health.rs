//! The health of endpoints: failing ones are paused for a while, and disabled if they only fail for days.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use uuid::Uuid;

use super::owe::{Audience, Message, payload};
use super::record::Patience;
use crate::domain::endpoints::{Interest, is_hopeless, rest};
use crate::domain::events::{EndpointDisabled, EventType};
use crate::store::endpoints::host;
use crate::store::events::{Actor, NewEvent, write};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// How an attempt went, for its endpoint.
pub(super) struct Verdict<'a> {
    pub(super) endpoint: &'a str,
    pub(super) has_failed: bool,
    /// It answered 410.
    pub(super) is_gone: bool,
}

/// The combined result of the attempts of one endpoint.
#[derive(Default)]
struct Said {
    failures: u32,
    has_taken: bool,
    is_gone: bool,
}

/// An endpoint that failed.
struct Failing {
    endpoint: String,
    failures: u32,
    since: Timestamp,
    is_gone: bool,
}

/// Records the results of these attempts; returns the endpoints that are disabled now, and why.
pub(super) async fn note(
    store: &Store,
    tx: &mut Tx,
    verdicts: &[Verdict<'_>],
    patience: &Patience,
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let mut endpoints = BTreeMap::<&str, Said>::new();
    for verdict in verdicts {
        let said = endpoints.entry(verdict.endpoint).or_default();
        said.failures += u32::from(verdict.has_failed);
        said.has_taken |= !verdict.has_failed;
        said.is_gone |= verdict.is_gone;
    }
    let (well, failing): (Vec<_>, Vec<_>) =
        endpoints.into_iter().partition(|(_, said)| said.has_taken && !said.is_gone);
    recover(tx, well.into_iter().map(|(endpoint, _)| endpoint.to_owned()).collect()).await?;
    if failing.is_empty() {
        return Ok(Vec::new());
    }
    let now = tx.now().await?;
    let mut disabled = Vec::new();
    for failing in count(tx, now, failing).await? {
        let why = if failing.is_gone {
            Some("the receiver answered 410: it is gone".to_owned())
        } else if is_hopeless(failing.since, now, patience.disable_after) {
            Some(format!("only failures since {}", failing.since))
        } else {
            None
        };
        leave_alone(tx, &failing, patience).await?;
        if let Some(why) = why
            && let Ok(id) = Uuid::try_parse(&failing.endpoint)
            && disable(store, tx, now, (id, &why, failing.since)).await?
        {
            disabled.push((id, why));
        }
    }
    Ok(disabled)
}

/// Most of the time there is nothing to forget.
async fn recover(tx: &mut Tx, endpoints: Vec<String>) -> Result<(), StoreError> {
    if endpoints.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- recover_endpoints
        update endpoint_health set failures = 0, failing_since = null, open_until = null
        where endpoint = any($1) and failures > 0",
        &endpoints
    )
    .run(tx)
    .await?;
    Ok(())
}

/// In the order of their names, so that two processes never wait for each other.
async fn count(tx: &mut Tx, now: Timestamp, failing: Vec<(&str, Said)>) -> Result<Vec<Failing>, StoreError> {
    let rows = sqlx::query!(
        r#"-- count_failures
        insert into endpoint_health as h (endpoint, failures, failing_since)
        select endpoint, failures, $3
        from unnest($1::text[], $2::int[]) as new (endpoint, failures)
        order by endpoint
        on conflict (endpoint) do update
        set failures = least(h.failures + excluded.failures, 1000000),
            failing_since = coalesce(h.failing_since, excluded.failing_since)
        returning endpoint, failures, failing_since as "since!: SqlTimestamp""#,
        &failing.iter().map(|(endpoint, _)| (*endpoint).to_owned()).collect::<Vec<_>>(),
        &failing.iter().map(|(_, said)| i32::try_from(said.failures).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        now.to_sqlx() as _
    )
    .all(tx)
    .await?;
    let is_gone = |endpoint: &str| failing.iter().any(|(of, said)| *of == endpoint && said.is_gone);
    let failing = rows.into_iter().map(|row| Failing {
        failures: u32::try_from(row.failures).unwrap_or_default(),
        since: row.since.to_jiff(),
        is_gone: is_gone(&row.endpoint),
        endpoint: row.endpoint,
    });
    Ok(failing.collect())
}

async fn leave_alone(tx: &mut Tx, failing: &Failing, patience: &Patience) -> Result<(), StoreError> {
    let Some(rest) = rest(failing.failures, &patience.schedule) else { return Ok(()) };
    sqlx::query!(
        "-- leave_endpoint_alone
        update endpoint_health set open_until = clock_timestamp() + make_interval(secs => $2) where endpoint = $1",
        failing.endpoint,
        rest.as_secs_f64()
    )
    .exactly(tx, 1)
    .await
}

/// Disables it until somebody enables it; returns whether it was enabled.
async fn disable(
    store: &Store,
    tx: &mut Tx,
    now: Timestamp,
    (id, why, since): (Uuid, &str, Timestamp),
) -> Result<bool, StoreError> {
    let found = sqlx::query!(
        "-- disable_endpoint
        update webhook_endpoints
        set enabled = false, disabled_at = $2, disabled_reason = $3, updated_at = $2
        where id = $1 and enabled
        returning url, orgs",
        id,
        now.to_sqlx() as _,
        why
    )
    .maybe(tx)
    .await?;
    let Some(found) = found else { return Ok(false) };
    let body = EndpointDisabled {
        event: EventType::EndpointDisabled,
        endpoint_id: id,
        host: host(&found.url),
        reason: why.to_owned(),
        failing_since: Some(since),
        timestamp: now,
    };
    let interest = Interest { events: None, orgs: found.orgs };
    let org = interest.only_org();
    let event = NewEvent {
        event: EventType::EndpointDisabled,
        org,
        job: None,
        hold: None,
        payload: payload(&body)?,
        webhook: Some(Message::new(&body, Audience::All)?),
    };
    write(store, tx, now, Actor::ENGINE, event).await?;
    Ok(true)
}
