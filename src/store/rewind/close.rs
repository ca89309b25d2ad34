//! Stops every org whose database went back in time: its knowledge of upstream is older than the calls that were made.

use jiff::Timestamp;
use jiff_sqlx::Timestamp as SqlTimestamp;

use crate::domain::act::OrgAct;
use crate::domain::events::EventType;
use crate::domain::keys::SERVICE;
use crate::domain::rewind::Rewind;
use crate::domain::terms::EngineTerms;
use crate::store::acts;
use crate::store::events::{Actor, NewEvent, write};
use crate::store::orgs::{lock, pace};
use crate::store::tx::{Rows as _, Tx, Writes as _};
use crate::store::{Store, StoreError};

/// Epochs of leases go so far ahead: those that were given out in the time that is missing are never given out again.
const LOST_EPOCHS: i64 = 1_000_000;

/// Stops all orgs, by name, and returns them. Those that are stopped for a rewind already are stopped anew where it is
/// another one, `is_news`: they may have gone on in the time that is missing, and what is missing since the first is
/// missing yet.
pub(super) async fn stop_all(
    store: &Store,
    tx: &mut Tx,
    kind: Rewind,
    missing_since: Option<Timestamp>,
    is_news: bool,
    terms: &EngineTerms,
) -> Result<Vec<String>, StoreError> {
    let orgs = sqlx::query!(
        r#"-- orgs_to_rewind
        select name, (
            select min(missing_since) from rewinds where found_at >= orgs.rewound_at
        ) as "missing_since: SqlTimestamp"
        from orgs
        where rewound_at is null or $1
        order by name"#,
        is_news
    )
    .all(tx)
    .await?;
    for org in &orgs {
        let earlier = org.missing_since.map(SqlTimestamp::to_jiff);
        let missing_since = missing_since.into_iter().chain(earlier).min();
        stop(store, tx, &org.name, kind, missing_since, terms).await?;
    }
    Ok(orgs.into_iter().map(|org| org.name).collect())
}

/// Stops a new org if others are stopped for a rewind: it may be new, or forgotten with all its intents.
pub(in crate::store) async fn stop_new(store: &Store, tx: &mut Tx, org: &str) -> Result<(), StoreError> {
    let stopped = sqlx::query!(
        r#"-- stop_new_org
        update orgs new
        set stopped_at = clock_timestamp(), stopped_by = other.stopped_by, stopped_reason = other.stopped_reason,
            rewound_at = other.rewound_at, intents_from = other.intents_from
        from (
            select stopped_by, stopped_reason, rewound_at, intents_from
            from orgs
            where rewound_at is not null
            order by intents_from desc, name
            limit 1
        ) other
        where new.name = $1
        returning new.stopped_reason, (select kind from rewinds order by found_at desc limit 1) as kind,
                  (
                      select min(missing_since) from rewinds where found_at >= other.rewound_at
                  ) as "missing_since: SqlTimestamp""#,
        org
    )
    .maybe(tx)
    .await?;
    let Some(stopped) = stopped else { return Ok(()) };
    let why = stopped.stopped_reason.as_deref();
    acts::note_of_org(tx, org, OrgAct::Stop, Actor::ENGINE, why).await?;
    let now = tx.now().await?;
    let missing_since = stopped.missing_since.map(SqlTimestamp::to_jiff);
    tell(store, tx, now, org, &serde_json::json!(stopped.kind), missing_since).await
}

async fn stop(
    store: &Store,
    tx: &mut Tx,
    org: &str,
    kind: Rewind,
    missing_since: Option<Timestamp>,
    terms: &EngineTerms,
) -> Result<(), StoreError> {
    let now = lock::lock(tx, org).await?.now;
    let window = pace::observed(tx, org).await?.window(terms);
    sqlx::query!(
        "-- stop_rewound_org
        update orgs
        set stopped_at = coalesce(stopped_at, clock_timestamp()), stopped_by = $2, stopped_reason = $3,
            rewound_at = coalesce(rewound_at, clock_timestamp()), intents_from = clock_timestamp() + make_interval(secs => $4),
            -- All facts are asked again.
            policy_epoch = policy_epoch + 1
        where name = $1",
        org,
        SERVICE,
        reason(kind, missing_since),
        window.as_secs_f64()
    )
    .exactly(tx, 1)
    .await?;
    let why = reason(kind, missing_since);
    acts::note_of_org(tx, org, OrgAct::Stop, Actor::ENGINE, Some(&why)).await?;
    // A job whose upstream id is known is still followed: lost commits do not change that.
    sqlx::query!(
        r#"-- doubt_rewound_jobs
        update jobs
        set epoch = epoch + $3,
            lease_until = case when state = 'submitting' then null else lease_until end,
            lost_since = case
                when state in ('submitting', 'in_doubt') then coalesce(lost_since, clock_timestamp()) else lost_since
            end,
            losses = case when state = 'submitting' then least(losses + 1, 1000) else losses end,
            run_at = case
                when state in ('waiting', 'submitting', 'in_doubt')
                then greatest(run_at, clock_timestamp() + make_interval(secs => $2)) else run_at
            end,
            last_error = case
                when state = 'submitting' then '{"call": "submit", "message": "the database went back in time"}'::jsonb
                else last_error
            end,
            state = case when state = 'submitting' then 'in_doubt' else state end
        where org = $1 and state <> 'done'"#,
        org,
        window.as_secs_f64(),
        LOST_EPOCHS
    )
    .run(tx)
    .await?;
    tell(store, tx, now, org, &serde_json::json!(kind), missing_since).await
}

async fn tell(
    store: &Store,
    tx: &mut Tx,
    now: Timestamp,
    org: &str,
    kind: &serde_json::Value,
    missing_since: Option<Timestamp>,
) -> Result<(), StoreError> {
    let payload = serde_json::json!({ "kind": kind, "missingSince": missing_since });
    let event = EventType::DatabaseRewound;
    let event = NewEvent { event, org: Some(org), job: None, hold: None, payload, webhook: None };
    write(store, tx, now, Actor::ENGINE, event).await
}

/// What happened and what to do, in a sentence.
fn reason(kind: Rewind, missing_since: Option<Timestamp>) -> String {
    let since = missing_since.map_or_else(
        || "what was committed last".to_owned(),
        |since| format!("what was committed after {since:.0}"),
    );
    format!("{}; {since} may be missing: make the holds of that time again, then resume the org", kind.says())
}
