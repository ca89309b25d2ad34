//! What a service leaves in its tables over a month, written past it: purges of all sizes with their slices, decisions, jobs,
//! events and deliveries, holds, endpoints. Ten million conversations take a few minutes.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

/// Named by many purges and by many holds.
pub const NAMED_OFTEN: Uuid = Uuid::from_u128(0x0a11);
/// An endpoint that was sent every second end of a purge.
pub const ENDPOINT: Uuid = Uuid::from_u128(0xe1);

/// What there is to be looked at.
#[derive(Debug)]
pub struct Known {
    /// Half of all conversations, of which the last ones failed.
    pub large: Uuid,
    /// One conversation, purged.
    pub tiny: Uuid,
    /// In the middle of all purges.
    pub middle: Uuid,
    /// It names a twenty-fifth of all conversations, of which some were gone.
    pub hold: Uuid,
    /// One of its conversations, in the middle of them.
    pub held: Uuid,
    /// A conversation that was purged.
    pub purged: Uuid,
    pub delivery: Uuid,
    pub job: Uuid,
}

/// Writes about so many conversations.
pub async fn write(connection: &mut PgConnection, conversations: i64) -> Known {
    // Purges of ten sizes: one of half, four of a tenth, some of a thousandth, and very many of one.
    let middle = (conversations / 1000).max(100);
    let middles = conversations * 9 / 100 / middle;
    let tiny = (conversations / 100).max(1000);
    let plan = format!(
        "create temporary table planned as
         select n, total, at,
                (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid as id,
                case when total > 1 then case when n = 1 then 'failed' else 'completed' end
                     when n % 10 = 0 then 'queued' when n % 10 = 1 then 'failed' else 'completed' end as state
         from (
             select n, now() - (n * 7919::bigint % {number} + 0.5) * interval '30 days' / {number} as at,
                    case when n = 1 then {half} when n <= 5 then {tenth} when n <= 5 + {middles} then {middle} else 1 end
                        as total
             from generate_series(1, {number}) n
         ) purges",
        number = 5 + middles + tiny,
        half = conversations / 2,
        tenth = conversations / 10,
    );
    run(connection, &plan).await;
    for statement in PURGES {
        run(connection, statement).await;
    }
    quickly(connection, "conversations", CONVERSATIONS).await;
    quickly(connection, "findings", FINDINGS).await;
    // All at once, so that nobody else numbers the events.
    run(connection, "begin").await;
    for statement in EVENTS {
        run(connection, statement).await;
    }
    run(connection, "commit").await;
    for statement in DELIVERIES {
        run(connection, statement).await;
    }
    let held = conversations / 25;
    let holds = (conversations / 10_000).max(60);
    run(connection, &LARGE_HOLD.replace("{held}", &held.to_string())).await;
    run(connection, &SMALL_HOLDS.replace("{holds}", &holds.to_string())).await;
    run(connection, NAMES_OF_HOLDS).await;
    run(connection, "vacuum analyze").await;
    run(connection, "checkpoint").await;
    known(connection).await
}

async fn run(connection: &mut PgConnection, statement: &str) {
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
}

/// Fills a table while it has no index, and makes the same ones afterwards.
async fn quickly(connection: &mut PgConnection, table: &str, statement: &str) {
    let constraints = "select conname::text, pg_get_constraintdef(oid) from pg_constraint
                       where conrelid = $1::regclass and contype = 'p'";
    let constraints: Vec<(String, String)> =
        sqlx::query_as(constraints).bind(table).fetch_all(&mut *connection).await.unwrap();
    for (name, _) in &constraints {
        run(connection, &format!("alter table {table} drop constraint {name}")).await;
    }
    let indexes = "select indexname::text, indexdef from pg_indexes where tablename = $1";
    let indexes: Vec<(String, String)> =
        sqlx::query_as(indexes).bind(table).fetch_all(&mut *connection).await.unwrap();
    for (name, _) in &indexes {
        run(connection, &format!("drop index {name}")).await;
    }
    run(connection, statement).await;
    for (_, definition) in &indexes {
        run(connection, definition).await;
    }
    for (name, definition) in &constraints {
        run(connection, &format!("alter table {table} add constraint {name} {definition}")).await;
    }
}

/// Of a large purge each slice has purged, retained and held conversations; the last ones of the largest failed. Each slice had
/// a job; small purges shared one.
const PURGES: &[&str] = &[
    "create temporary table parts as
     select n, id, at, state, slice_no, size,
            case when state = 'queued' then 0 when size = 1 then (state = 'completed')::int
                 else size - size / 10 - size / 20 - case when n = 1 and slice_no = last then 10 else 0 end end as purged,
            size / 10 as retained, size / 20 as held, (state = 'queued')::int as pending,
            case when size = 1 then (state = 'failed')::int when n = 1 and slice_no = last then 10 else 0 end as failed,
            case when total > 1 then gen_random_uuid() else lpad(to_hex(n / 500), 32, '0')::uuid end as job_id
     from (
         select p.*, slice_no, (total - 1) / 500 as last, least(500, total - 500 * slice_no) as size
         from planned p cross join lateral generate_series(0, (total - 1) / 500) slice_no
     ) slices",
    "insert into purges (id, org, state, reason, reference, labels, dry_run, requested_by, request_id, created_at, started_at,
                         finished_at, turn_at, duplicates, total, pending, purged, retained, on_hold, failed, event_no)
     select p.id, 'default', p.state::purge_state, 'Retention period ended', 'R-' || p.n % 1000,
            jsonb_build_object('team', 'billing'), false, case when p.n % 100 = 7 then 'seldom' else 'often' end, 'r', p.at,
            case when p.state <> 'queued' then p.at end, case when p.state <> 'queued' then p.at + interval '1 hour' end,
            p.at, 0, p.total, s.pending, s.purged, s.retained, s.held, s.failed,
            case when p.state = 'queued' then 1 else 3 + s.slices end
     from planned p
     join (
         select id, sum(pending) as pending, sum(purged) as purged, sum(retained) as retained, sum(held) as held,
                sum(failed) as failed, count(*) as slices
         from parts group by id
     ) s using (id)",
    "insert into purge_tags (org, tag, purge_id)
     select 'default', tag, id from planned cross join unnest(array[':R-' || n % 1000, 'team:billing']) tag",
    "insert into slices (purge_id, slice_no, org, state, ids, outcomes, pending, run_at)
     select id, slice_no, 'default', case when pending > 0 then 'queued' else 'settled' end::slice_state,
            case when size = 1 and n % 10 = 1 then array['00000000-0000-0000-0000-000000000a11'::uuid]
                 else array(select gen_random_uuid() from generate_series(1, size)) end,
            decode(repeat('13', purged) || repeat('19', failed) || repeat('06', retained) || repeat('05', held)
                   || repeat('00', pending), 'hex'),
            pending, at
     from parts",
    "insert into jobs (id, org, state, result, body_sha256, size, upstream_job_id, upstream_state, upstream_succeeded,
                       records_processed, attempt, created_at, submitted_at, ended_at, finished_at)
     select job_id, 'default', 'done', 'completed', '', sum(purged + failed), gen_random_uuid()::text, 'COMPLETED', true,
            sum(purged), 1, min(at), min(at) + interval '1 minute', min(at) + interval '2 minutes',
            min(at) + interval '3 minutes'
     from parts where pending = 0 group by job_id",
    "insert into job_parts (job_id, purge_id, slice_no, positions)
     select job_id, id, slice_no, array(select generate_series(0, purged + failed - 1)::smallint) from parts where pending = 0",
    "insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, job_id, code, detail,
                            decided_at)
     select id, slice_no, 1, array(select generate_series(first, first + number - 1)::smallint), was, becomes, step,
            case when is_by_job then job_id end, code, detail, at + nth * interval '30 seconds'
     from parts
     cross join lateral (
         values (1, 0, purged, 0, 1, 'validate', false, 'eligible', null),
                (2, purged + failed, retained, 0, 6, 'validate', false, 'retention_period', 'until 2027-03-01T00:00:00Z'),
                (3, purged + failed + retained, held, 0, 5, 'validate', false, 'legal_hold', null),
                (4, 0, purged, 1, 2, 'intend', true, 'intent', null),
                (5, 0, purged, 2, 3, 'verify', true, 'gone', null),
                (6, purged, failed, 0, 9, 'verify', true, 'still_present', null)
     ) as step (nth, first, number, was, becomes, step, is_by_job, code, detail)
     where number > 0
     order by at, slice_no, nth",
];

const CONVERSATIONS: &str = "insert into conversations (conversation_id, purge_id, ordinal)
     select c.id, s.purge_id, s.slice_no * 500 + c.place - 1
     from slices s cross join unnest(s.ids) with ordinality as c (id, place)";

const FINDINGS: &str = "insert into findings (org, conversation_id, gone_at)
     select 'default', c.id, p.at
     from parts p
     join slices s on (s.purge_id, s.slice_no) = (p.id, p.slice_no)
     cross join unnest(s.ids[:p.purged]) as c (id)";

/// What a purge tells of: that it was accepted and began, each job that carried some of it, and its end.
const EVENTS: &[&str] = &[
    "insert into events (id, type, org, purge_id, event_no, job_id, actor, request_id, payload, at)
     select gen_random_uuid(), e.type, 'default', p.id, e.no, null, e.actor, null, '{}', p.at
     from planned p
     cross join lateral (
         values (1, 'purge_accepted', 'often'), (2, 'purge_started', 'engine'),
                (3 + (p.total - 1) / 500 + 1, 'purge_' || p.state, 'engine')
     ) as e (no, type, actor)
     where p.state <> 'queued' or e.no = 1",
    "insert into events (id, type, org, purge_id, event_no, job_id, actor, payload, at)
     select gen_random_uuid(), 'purge_job_completed', 'default', id, 3 + slice_no, job_id, 'engine', '{}', at
     from parts where pending = 0",
    "insert into events (id, type, org, job_id, actor, payload, at)
     select gen_random_uuid(), 'purge_job_completed', 'default', job_id, 'engine', '{}', min(at)
     from parts where pending = 0 group by job_id",
    "with taken as (delete from events_unstamped returning place, event_id)
     insert into event_numbers (no, event_id, org, stamped_at)
     select coalesce((select max(no) from event_numbers), 0) + row_number() over (order by place), event_id, org, now()
     from taken join events on id = event_id",
];

const DELIVERIES: &[&str] = &[
    "insert into webhook_endpoints (id, url, secret, created_by)
     values ('00000000-0000-0000-0000-0000000000e1', 'https://receiver.example/', 's', 'often')",
    "insert into webhook_endpoints (id, url, purge_id, secret, created_by)
     select gen_random_uuid(), 'https://receiver.example/', id, 's', 'often' from planned where n % 10 = 2",
    "insert into deliveries (id, event_id, endpoint, payload, state, attempt, created_at, delivered_at, last_status, last_error)
     select gen_random_uuid(), e.id, w.endpoint, '{\"event\":\"' || e.type || '\"}', w.state::delivery_state, 1, e.at,
            case when w.state = 'delivered' then e.at end, case when w.state = 'delivered' then 204 else 500 end,
            case when w.state = 'dead' then 'the receiver answered 500' end
     from (
         select id, type, at, row_number() over () as n, purge_id is null as is_of_job from events
         where type in ('purge_completed', 'purge_failed') or type = 'purge_job_completed' and purge_id is null
     ) e
     cross join lateral (
         select 'retention' as endpoint, case when e.n % 10 = 3 then 'dead' else 'delivered' end as state
         union all
         select '00000000-0000-0000-0000-0000000000e1', 'delivered' where not e.is_of_job and e.n % 2 = 0
     ) w",
    "insert into delivery_attempts (delivery_id, attempt, at, status, latency_seconds, response, error)
     select id, 1, created_at, last_status, 0.1, 'ok', last_error from deliveries",
];

const LARGE_HOLD: &str = "insert into holds (id, matter, active, created_by, request_id, created_at, conversations, orgs)
     values ('00000000-0000-0000-0000-000000000b1d', 'Large v. Small', true, 'often', 'r', now() - interval '31 days', {held},
             '{default}')";

const SMALL_HOLDS: &str = "insert into holds (id, matter, active, created_by, request_id, created_at, released_at, released_by,
                            conversations, orgs)
     select lpad(to_hex(65536 + n), 32, '0')::uuid, 'M-' || n, false, 'often', 'r', now() - n * interval '1 minute',
            case when n % 2 = 0 then now() end, case when n % 2 = 0 then 'often' end, 2, '{default}'
     from generate_series(1, {holds}) n";

/// Some of what the large one names is gone; each of the others names one conversation of its own, and one that all name.
const NAMES_OF_HOLDS: &str = "insert into hold_conversations (conversation_id, org, hold_id)
     (
         select c.id, 'default', h.id
         from holds h
         cross join lateral (
             select c.id
             from parts p
             join slices s on (s.purge_id, s.slice_no) = (p.id, p.slice_no)
             cross join unnest(s.ids[p.purged + p.failed + case when p.slice_no < 10 and p.n = 1 then -1 else 1 end :]) as c (id)
             where p.size > 1
             order by p.n, p.slice_no
             limit h.conversations
         ) c
         where h.conversations > 2
     )
     union all
     select c.id, 'default', h.id
     from holds h
     cross join lateral (
         select gen_random_uuid() as id where h.id is not null
         union all
         select '00000000-0000-0000-0000-000000000a11'
     ) c
     where h.conversations = 2;
     update holds set active = true where released_at is null and not active;
     insert into hold_orgs (org, hold_id, active) select 'default', id, active from holds on conflict do nothing";

async fn known(connection: &mut PgConnection) -> Known {
    let sql = "select (select id from planned where n = 1) as large,
                      (select id from planned where total = 1 and state = 'completed' order by n limit 1) as tiny,
                      (select id from planned order by id offset (select count(*) / 2 from planned) limit 1) as middle,
                      (select id from holds where conversations > 2) as hold,
                      (select conversation_id from hold_conversations
                       where hold_id = '00000000-0000-0000-0000-000000000b1d'
                       order by conversation_id offset (select conversations / 2 from holds where conversations > 2) limit 1)
                          as held,
                      (select ids[1] from slices join planned on id = purge_id where n = 1 and slice_no = 7) as purged,
                      (select id from deliveries limit 1) as delivery, (select id from jobs limit 1) as job";
    let row = connection.fetch_one(sql).await.unwrap();
    let id = |name: &str| sqlx::Row::get(&row, name);
    Known {
        large: id("large"),
        tiny: id("tiny"),
        middle: id("middle"),
        hold: id("hold"),
        held: id("held"),
        purged: id("purged"),
        delivery: id("delivery"),
        job: id("job"),
    }
}
