-- schema 28
-- activate_hold
update holds set active = true where id = $1
;
-- all_holds
select id from holds
where id < $1 and (active or released_at is not null)
order by id desc
limit $2
;
-- allow_copy
select set_config('statement_timeout', $1, true) as "limit!"
;
-- attempts_of_delivery
select attempt, at, status, latency_seconds, response, error
from delivery_attempts
where delivery_id = $1
order by attempt desc
limit $2
;
-- backlog_upto
select id as "id!" from (select id from events where id > $1 order by id limit $2) walked
order by id desc
limit 1
;
-- block_org
update orgs
set blocked_call = $2, blocked_code = $3, blocked_detail = $4,
blocked_at = coalesce(blocked_at, clock_timestamp()),
probe_at = clock_timestamp() + make_interval(secs => $5)
where name = $1
;
-- bring_back_limiters
update limiters
set arrival_at = least(arrival_at, clock_timestamp() + make_interval(secs => $1)),
closed_until = least(closed_until, clock_timestamp() + make_interval(secs => $2)),
broken_until = case when broken_until is not null
then least(broken_until, clock_timestamp() + make_interval(secs => $3)) end
where arrival_at > clock_timestamp() + make_interval(secs => $1)
or closed_until > clock_timestamp() + make_interval(secs => $2)
or broken_until > clock_timestamp() + make_interval(secs => $3)
;
-- bring_back_probes
with ahead as (
select name from orgs
where probe_at > clock_timestamp() + make_interval(secs => $1)
order by name
for no key update
)
update orgs o set probe_at = clock_timestamp() + make_interval(secs => $1)
from ahead where o.name = ahead.name
;
-- bury_deliveries
update deliveries d
set state = 'dead', lease_until = null, epoch = epoch + 1,
last_error = 'not sent: the endpoint is disabled or deleted'
where d.id = any(array(
select id from deliveries
where state = 'pending' and endpoint = any($1)
limit $2
for update skip locked
))
;
-- caller_of_key
select name, scopes, orgs, clock_timestamp() as "asked_at!: SqlTimestamp"
from api_keys
where id = $1 and is_key_in_force(revoked_at, expires_at)
;
-- canceled_purges_to_sweep
select id as "id!"
from canceled_to_sweep
where org = $1 and id <> all($2)
order by open, id
limit 20
;
-- canceling_purges
select id from purges where id = any($1) and state = 'canceling'
;
-- carried_among
select conversation_id as "id!"
from findings
where org = $1 and conversation_id = any($2) and num_nonnulls(gone_at, carried_at) > 0
union
select r.conversation_id
from reservations r
join jobs j on j.id = r.job_id
where r.org = $1 and r.conversation_id = any($2) and j.may_delete
;
-- carried_by_decisions
select positions, from_outcome as "from: Outcome", to_outcome as "to: Outcome", step
from decisions
where purge_id = $1 and slice_no = $2
order by id
;
-- carried_by_job
select p.purge_id, count(*) filter (where byte & 15 = $2) as "gone!",
count(*) filter (where byte is null or byte & 15 = $3) as "open!"
from job_parts p
join slices s on (s.purge_id, s.slice_no) = (p.purge_id, p.slice_no)
cross join unnest(p.positions) as at (position)
cross join lateral (
select case when position between 0 and octet_length(s.outcomes) - 1
then get_byte(s.outcomes, position) end as byte
) cell
where p.job_id = $1
group by p.purge_id
order by p.purge_id
;
-- carried_now_among
select r.conversation_id
from reservations r
join jobs j on j.id = r.job_id
where r.org = $1 and r.conversation_id = any($2) and j.may_delete
;
-- check_ids
select
held.by is not null as "is_held!",
-- Read once: asked for each id by its job, all that the job has would be read for each.
i.id in (select conversation_id from reservations where job_id = $2) as "is_ours!",
-- Without facts of its own everything that was ever found out counts.
coalesce(f.gone_at >= coalesce(i.facts_at, '-infinity'), false) as "is_gone_since!",
coalesce(f.kept_at >= coalesce(i.facts_at, '-infinity'), false) as "is_kept_since!"
from unnest($3::uuid[], $4::timestamptz[]) with ordinality as i (id, facts_at, n)
-- Each by the key, whatever the planner took the tables for when they were empty.
left join lateral (
select h.id as by from hold_conversations hc join holds h on h.id = hc.hold_id
where hc.conversation_id = i.id and hc.org = $1 and h.active
limit 1
) held on true
left join lateral (
select gone_at, kept_at from findings where org = $1 and conversation_id = i.id limit 1
) f on true
order by i.n
;
-- check_ready
select current_setting('transaction_read_only') = 'on' as "is_read_only!",
to_regclass('_sqlx_migrations') is not null as "has_schema!"
;
-- check_session
select name as "name!", setting as "setting!" from pg_settings
;
-- choose_slices_to_draw
select c.purge_id as "purge_id!", s.slice_no as "slice_no!"
from unnest($1::uuid[], $2::bigint[]) as c (purge_id, take)
cross join lateral (
select slice_no, sum(drawable) over (order by slice_no) - drawable as before
from slices
where purge_id = c.purge_id and drawable > 0
order by slice_no
-- Each has one at least.
limit c.take
) s
where s.before < c.take
;
-- choose_waiting_job
select j.id, j.rechecked, p.standing as "standing?"
from jobs j
left join search_pieces p on p.id = j.id
where j.org = $1 and j.state <> 'done' and j.next_step = 'intend' and j.due_at <= clock_timestamp()
and (j.parent is null or $2) and not ($3 and (j.parent is not null or j.conflicted))
and not exists (select from search_pieces_held_back h where h.id = j.id)
order by j.created_at, j.id
limit 1
for update of j skip locked
;
-- claim_deliveries
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
order by coalesce(c.due_at, c.run_at), c.id
;
-- claim_due_job
with due as (
select id from jobs
where org = $1 and state <> 'done' and next_step = any($3::text[]::job_step[])
and due_at <= clock_timestamp() and ($4::int is null or size <= $4 and blind = 0)
order by due_at
limit 1
for update skip locked
)
update jobs j
set epoch = j.epoch + 1, claimed_at = clock_timestamp(),
lease_until = clock_timestamp() + make_interval(secs => $2)
from due
where j.id = due.id
returning j.id, j.epoch, j.next_step as "step!: JobStep", j.run_at, j.claimed_at as "claimed_at!: SqlTimestamp",
j.tries, j.blind, j.upstream_job_id, cardinality(j.ids) as size,
extract(epoch from clock_timestamp() - j.submitted_at)::float8 as running
;
-- claim_repeat_key
insert into idempotency_keys as k (key_id, key, fingerprint, purge_id, created_at)
values ($1, $2, $3, $4, $5)
on conflict (key_id, key) do update
set fingerprint = excluded.fingerprint, purge_id = excluded.purge_id, created_at = excluded.created_at
where k.created_at < excluded.created_at - make_interval(days => $6)
;
-- close_limiter
update limiters
set closed_until = greatest(closed_until, clock_timestamp() + make_interval(secs => $3)),
refusals = least(refusals + 1, 1000), refused_call = $2
where org = $1
;
-- conversation
select c.purge_id, c.ordinal, p.org, p.created_at, p.requested_by, p.reason, p.reference
from conversations c
cross join lateral (
select org, created_at, requested_by, reason, reference from purges
where id = c.purge_id and ($3::text[] is null or org = any($3))
-- One at a time, until the page is full: no plan reads purges that do not name it.
offset 0
) p
where c.conversation_id = $1 and c.purge_id > $2
order by c.purge_id
limit $4
;
-- conversations
select slice_no, org, ids, outcomes from slices
where purge_id = $1 and slice_no >= $2 and ($4::text[] is null or org = any($4))
order by slice_no
limit $3
;
-- count_attempts
select d.purge_id, d.slice_no, d.positions
from decisions d
join unnest($1::uuid[], $2::int[]) as wanted (purge_id, slice_no)
on (d.purge_id, d.slice_no) = (wanted.purge_id, wanted.slice_no)
join purges p on p.id = d.purge_id and p.run = d.run
where d.step = 'verify' and d.code = $3 and d.to_outcome = $4
;
-- count_conflicts
select count(*) as "jobs!", count(*) filter (where conflicted) as "conflicted!"
from (
select conflicted
from jobs
where org = $1 and parent is null and (conflicted or submitted_at is not null)
and created_at > coalesce((select conflicts_since from orgs where name = $1), '-infinity')
order by created_at desc
limit $2
) last
;
-- count_failures
insert into endpoint_health as h (endpoint, failures, failing_since)
select endpoint, failures, $3
from unnest($1::text[], $2::int[]) as new (endpoint, failures)
order by endpoint
on conflict (endpoint) do update
set failures = least(h.failures + excluded.failures, 1000000),
failing_since = coalesce(h.failing_since, excluded.failing_since)
returning endpoint, failures, failing_since as "since!: SqlTimestamp"
;
-- count_migrations
select count(*) as "applied!" from _sqlx_migrations where success
;
-- count_slots
select count(*) filter (where takes_slot) as "taken!",
count(*) filter (where takes_slot and parent is not null) as "by_children!",
count(*) filter (
where next_step = 'intend' and parent is null and due_at <= clock_timestamp()
) as "others!",
count(*) filter (
where next_step = 'intend' and parent is null and not conflicted and due_at <= clock_timestamp()
) as "as_packed!",
(select count(*) from slots_kept where org = $1) as "kept!",
(select true from purges_drawable where org = $1 order by turn_at, id limit 1) is not null as "can_pack!",
(select oldest from schema_floor) as "oldest!",
g.system as "system!", g.timeline as "timeline!", g.position as "position!"
from ground g
left join jobs on org = $1 and state <> 'done'
group by g.system, g.timeline, g.position
;
-- count_taken_slots
select count(*) as "taken!" from slots_kept where org = $1
;
-- create_endpoint
insert into webhook_endpoints
(id, url, description, events, orgs, enabled, disabled_at, secret, key_id, created_by)
select $1, $2, $3, $4, $5, $6, case when not $6 then clock_timestamp() end, $7, $8, $9
where (select count(*) from webhook_endpoints where purge_id is null and deleted_at is null) < $10
;
-- create_key
insert into api_keys (id, name, prefix, sha256, scopes, orgs, expires_at)
values ($1, $2, $3, $4, $5, $6, $7)
;
-- database_history
select system_identifier, timeline, position, noted_at as "noted_at: SqlTimestamp" from database_history
;
-- dead_deliveries
select count(*) as "dead!" from (select from deliveries where state = 'dead' limit $1) dead
;
-- dead_since
select found.created_at as "created_at!", found.id as "id!"
from (
select of_org.created_at, of_org.id
from orgs o
cross join lateral (
select created_at, id from deliveries
where org = o.name and state = 'dead' and created_at >= $2 and (created_at, id) > ($3, $4)
order by created_at, id
limit $5
) of_org
where $1::text[] is null or o.name = any($1)
union all
(
select created_at, id from deliveries
where $1::text[] is null and org is null and state = 'dead' and created_at >= $2
and (created_at, id) > ($3, $4)
order by org, created_at, id
limit $5
)
) found
order by 1, 2
limit $5
;
-- decisions_about
select d.purge_id, d.from_outcome, d.to_outcome, d.step, d.code, d.detail, d.job_id, d.decided_at,
d.kept_until[array_position(d.positions, c.position)] as "kept_until: SqlTimestamp",
j.upstream_job_id as "upstream_job_id?"
from unnest($1::uuid[], $2::int[], $3::smallint[]) as c (purge_id, slice_no, position)
join decisions d on (d.purge_id, d.slice_no) = (c.purge_id, c.slice_no) and c.position = any(d.positions)
left join jobs j on j.id = d.job_id
order by d.id
;
-- decisions_on
select d.slice_no, d.positions, d.from_outcome, d.to_outcome, d.step, d.code, d.detail, d.decided_at,
d.kept_until as "kept_until: Vec<SqlTimestamp>",
j.upstream_job_id as "upstream_job_id?"
from decisions d
left join jobs j on j.id = d.job_id
where d.purge_id = $1 and d.slice_no = any($2)
order by d.id
;
-- delete_endpoint
update webhook_endpoints
set enabled = false, disabled_at = coalesce(disabled_at, clock_timestamp()), deleted_at = clock_timestamp(),
updated_at = clock_timestamp(), secret = '', previous_secret = null, previous_until = null
where id = $1
;
-- deliveries
select d.id, d.event_id, e.type as "event: EventType", d.org, e.purge_id,
j.upstream_job_id as "upstream_job_id?", d.endpoint, d.payload, d.state as "state: DeliveryState",
d.attempt, d.created_at, coalesce(d.due_at, d.run_at) as "run_at!: SqlTimestamp", d.delivered_at, d.last_status, d.last_error
from deliveries d
join events e on e.id = d.event_id
left join jobs j on j.id = e.job_id
where d.id = any($1) and ($2::text[] is null or d.org = any($2))
order by d.created_at desc, d.id desc
;
-- delivery_lanes
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
order by lane.endpoint
;
-- delivery_targets
select id, url, secret, case when previous_until > clock_timestamp() then previous_secret end as previous
from webhook_endpoints
where id = any($1)
;
-- disable_endpoint
update webhook_endpoints
set enabled = false, disabled_at = $2, disabled_reason = $3, updated_at = $2
where id = $1 and enabled
returning url, orgs
;
-- doubt_rewound_jobs
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
where org = $1 and state <> 'done'
;
-- drop_job
delete from jobs where id = $1
;
-- drop_parts
delete from job_parts where job_id = any($1)
;
-- end_backlog
delete from events_backlog
;
-- endpoints
select e.id, e.url, e.description, e.events, e.orgs, e.purge_id, e.enabled, e.disabled_at, e.disabled_reason,
e.secret, case when e.previous_until > clock_timestamp() then e.previous_until end
as "previous_until: SqlTimestamp",
e.created_by, e.created_at, e.updated_at, coalesce(h.failures, 0) as "failures!",
h.failing_since as "failing_since?",
case when h.open_until > clock_timestamp() then h.open_until end as "resting_until: SqlTimestamp"
from webhook_endpoints e
left join endpoint_health h on h.endpoint = e.id::text
where e.id = any($1) and e.deleted_at is null and ($2::text[] is null or e.orgs <@ $2)
order by e.id desc
;
-- enroll_limiter
insert into limiters (org) values ($1) on conflict do nothing
;
-- enroll_org
update orgs set policy = $2, policy_epoch = policy_epoch + 1 where name = $1
;
-- enroll_pace
insert into paces (org) values ($1) on conflict do nothing
;
-- ensure_database
select exists (select from pg_database where datname = $1) as "exists!"
;
-- events_backlog
select after from events_backlog
;
-- events_of
select e.event_no as "event_no!", e.id, e.type as "event: EventType", e.at, e.actor, e.request_id, e.job_id, e.payload,
j.upstream_job_id as "upstream_job_id?"
from events e
left join jobs j on j.id = e.job_id
where e.purge_id = $1 and e.event_no > $2
order by e.event_no
limit $3
;
-- expire_slices
with expired as (
select purge_id, slice_no from slices
where org = $1 and state = 'validating' and lease_until < clock_timestamp()
order by purge_id, slice_no
for update skip locked
)
update slices s
set state = 'queued', lease_until = null, asked = 0, epoch = s.epoch + 1, tries = least(s.tries + 1, 1000)
from expired
where (s.purge_id, s.slice_no) = (expired.purge_id, expired.slice_no)
returning s.purge_id
;
-- expire_submits
update jobs
set state = 'in_doubt', epoch = epoch + 1, lost_since = coalesce(lost_since, lease_until),
losses = least(losses + 1, 1000), run_at = lease_until + make_interval(secs => $2),
lease_until = null, tries = 0, blind = 0,
last_error = '{"call": "submit", "message": "the worker that submitted it is gone"}'
where org = $1 and state = 'submitting' and lease_until < clock_timestamp()
;
-- fate_of_held
select named.id as "conversation!", fate.is_too_late as "is_too_late!"
from unnest($2::uuid[]) with ordinality as named (id, n)
cross join lateral (
select coalesce(bool_or(is_too_late), false) as is_too_late from hold_conversations_and_fate
where hold_id = $1 and conversation_id = named.id and ($3::text[] is null or org = any($3))
) fate
order by named.n
;
-- feed
select n.no, e.id, e.type as "event: EventType", e.at, e.actor, e.request_id, e.org, e.purge_id, e.event_no,
e.job_id, j.upstream_job_id as "upstream_job_id?", e.hold_id, e.payload
from event_numbers n
join events e on e.id = n.event_id
left join jobs j on j.id = e.job_id
where n.no > $1
order by n.no
limit $2
;
-- feed_before
with recursive search (earlier, later) as (
select coalesce(min(no), 1) - 1, coalesce(max(no), 0) + 1 from event_numbers
union all
select case when n.stamped_at < $1 then n.no else s.earlier end,
case when n.stamped_at < $1 then s.later else n.no end
from search s
join event_numbers n on n.no = (s.earlier + s.later) / 2
where s.later - s.earlier > 1
)
select max(earlier) as "no!" from search
;
-- feed_end
select coalesce(max(no), 0) as "no!" from event_numbers
;
-- feed_of_orgs
select n.no as "no!", e.id as "id!", e.type as "event!: EventType", e.at as "at!", e.actor as "actor!",
e.request_id as "request_id?", e.org as "org?", e.purge_id as "purge_id?", e.event_no as "event_no?",
e.job_id as "job_id?", j.upstream_job_id as "upstream_job_id?", e.hold_id as "hold_id?",
e.payload as "payload!"
from (
select own.no, own.event_id
from (select distinct unnest($3::text[]) as name) o
cross join lateral (
select no, event_id from event_numbers where org = o.name and no + 0 > $1 order by no + 0 limit $2
) own
order by own.no
limit $2
) n
cross join lateral (select * from events where id = n.event_id limit 1) e
left join lateral (select upstream_job_id from jobs where id = e.job_id limit 1) j on true
order by n.no
;
-- find_caller
select
id, name, scopes, orgs, expires_at as "expires_at: SqlTimestamp",
is_key_in_force(revoked_at, expires_at) as "is_in_force!",
clock_timestamp() as "asked_at!: SqlTimestamp"
from api_keys
where sha256 = $1 and revoked_at is null
;
-- find_repeat
select purge_id, fingerprint
from idempotency_keys
where key_id = $1 and key = $2 and created_at >= clock_timestamp() - make_interval(days => $3)
;
-- findings_since
select conversation_id, coalesce(gone_at >= $3, false) as "gone!", coalesce(kept_at >= $3, false) as "kept!"
from findings
where org = $1 and conversation_id = any($2) and greatest(gone_at, kept_at) >= $3
;
-- finish_jobs
update jobs j
set state = 'done', result = $2::text::job_result, finished_at = clock_timestamp(), ids = null, open = 0,
lease_until = null, epoch = epoch + 1, last_error = coalesce($3, last_error)
where id = any($1) and state <> 'done' and not exists (select from reservations where job_id = j.id)
;
-- finish_purges
update purges p set state = ended.state::purge_state, finished_at = $3
from unnest($1::uuid[], $2::text[]) as ended (id, state)
where p.id = ended.id
;
-- first_half_of
select after from jobs where id = $1
;
-- forget_controls
delete from controls where org = $1 and conversation_id = any($2)
;
-- forget_health
delete from endpoint_health where endpoint = $1
;
-- forget_login_trouble
delete from login_troubles where org = $1
;
-- forget_missing_controls
delete from controls where org = $1 and missed > 0
;
-- forget_released
delete from released r
using (
select unnest($2::uuid[]) as id
union
(select conversation_id from released where org = $1 order by conversation_id limit $3)
) looked_at
where r.org = $1 and r.conversation_id = looked_at.id
and not exists (select from waiters where org = $1 and conversation_id = r.conversation_id)
;
-- forget_repeats
delete from idempotency_keys where created_at < clock_timestamp() - make_interval(days => $1)
;
-- forget_worker
delete from org_workers where worker = $1
;
-- give_back_deliveries
update deliveries d set lease_until = null
from unnest($1::uuid[], $2::bigint[]) as claimed (id, epoch)
where d.id = claimed.id and d.epoch = claimed.epoch and d.state = 'pending'
;
-- give_back_job
update jobs
set lease_until = null, epoch = epoch + 1
where id = $1 and epoch = $2 and lease_until is not null and state not in ('submitting', 'done')
;
-- give_back_slices
with held as (
select s.purge_id, s.slice_no
from slices s
join unnest($1::uuid[], $2::int[], $3::bigint[]) as held (purge_id, slice_no, epoch)
on (s.purge_id, s.slice_no, s.epoch) = (held.purge_id, held.slice_no, held.epoch)
where s.state = 'validating'
order by s.purge_id, s.slice_no
for update of s
)
update slices s
set state = 'queued', lease_until = null, asked = 0, epoch = s.epoch + 1
from held
where (s.purge_id, s.slice_no) = (held.purge_id, held.slice_no)
returning s.purge_id
;
-- go_again
update jobs
set state = 'waiting', run_at = clock_timestamp() + make_interval(secs => $2), recheck = $3,
lease_until = null, call_before = null, tries = least(tries + 1, 1000), blind = 0, open = 0, last_error = $4
where id = $1 and state = 'submitting'
;
-- ground
select system as "system!", timeline as "timeline!", position as "position!" from ground
;
-- hand_on
update reservations set job_id = $3 where org = $1 and job_id = $2 and conversation_id = any($4)
;
-- has_migrations
select to_regclass('_sqlx_migrations') is not null as "has_schema!"
;
-- has_secret
select exists (select from service_secrets where name = $1) as "exists!"
;
-- has_synchronous_standbys
select current_setting('synchronous_standby_names') <> '' as "has!"
;
-- has_unstamped_events
select (exists (select from events_unstamped) or exists (select from events_backlog)) as "has_any!"
;
-- have_breaker_tried
update limiters set broken_until = least(broken_until, clock_timestamp())
where org = $1 and broken_until is not null
;
-- have_jobs_tried
update jobs j set run_at = clock_timestamp()
from (
select id from jobs
where org = $1 and state = 'waiting' and lease_until is null and run_at > clock_timestamp()
order by run_at, id
limit $2
for update
) due
where j.id = due.id
;
-- have_org_tried
update orgs set probe_at = least(probe_at, clock_timestamp()) where name = $1
;
-- have_slices_tried
update slices s set run_at = clock_timestamp()
from (
select purge_id, slice_no from slices
where org = $1 and state = 'queued' and run_at > clock_timestamp() and read_again_at is null
order by purge_id, slice_no
limit $2
for update
) due
where (s.purge_id, s.slice_no) = (due.purge_id, due.slice_no)
returning s.purge_id
;
-- held_among
select hc.conversation_id
from hold_conversations hc
join holds h on h.id = hc.hold_id
where hc.org = $1 and h.active and hc.conversation_id = any($2)
;
-- held_before
select id, matter = $3 and orgs = $4 and conversations = cardinality($5::uuid[]) and not exists (
select from unnest($5) as c (id)
where not exists (
select from hold_conversations hc
where hc.conversation_id = c.id and hc.org = any($4) and hc.hold_id = h.id
)
) as "is_same!"
from holds h
where key_id = $1 and external_id = $2 and active
;
-- held_conversations
select distinct conversation_id from hold_conversations
where hold_id = $1 and conversation_id > $2 and ($3::text[] is null or org = any($3))
order by conversation_id
limit $4
;
-- hold_to_release
select matter, orgs from holds
where id = $1 and (active or released_at is not null) and ($2::text[] is null or orgs <@ $2)
;
-- holds
select id, matter, external_id, reason, active, conversations, created_by, created_at, released_by, released_at,
release_reason,
array(
select name from unnest(orgs) with ordinality as o (name, place)
where $2::text[] is null or name = any($2)
order by place
) as "orgs!"
from holds
where id = any($1) and (active or released_at is not null) and ($2::text[] is null or orgs && $2)
order by id desc
;
-- holds_by_activity
select distinct found.hold_id as "id!"
from orgs o
cross join lateral (
select hold_id from hold_orgs
where org = o.name and active = $2 and hold_id < $3
order by hold_id desc
limit $4
) found
where $1::text[] is null or o.name = any($1)
order by 1 desc
limit $4
;
-- holds_naming
select distinct found.hold_id as "id!"
from orgs o
cross join lateral (
select hc.hold_id
from hold_conversations hc
cross join lateral (
select from hold_orgs
where org = hc.org and hold_id = hc.hold_id and ($3::boolean is null or active = $3)
-- One at a time, until the page is full: no plan reads holds that do not name it.
offset 0
) in_force
where hc.conversation_id = $1 and hc.org = o.name and hc.hold_id < $4
order by hc.hold_id desc
limit $5
) found
where $2::text[] is null or o.name = any($2)
order by 1 desc
limit $5
;
-- holds_of_orgs
select distinct found.hold_id as "id!"
from unnest($1::text[]) as o (name)
cross join lateral (
select hold_id from hold_orgs
where org = o.name and hold_id < $2
order by hold_id desc
limit $3
) found
order by 1 desc
limit $3
;
-- holds_on
select distinct found.hold_id as "id!"
from orgs o
cross join lateral (
select hc.hold_id
from hold_conversations hc
cross join lateral (
select from hold_orgs
where org = hc.org and hold_id = hc.hold_id
-- One at a time, until the page is full: no plan reads holds that do not name it.
offset 0
) in_force
where hc.conversation_id = $1 and hc.org = o.name and hc.hold_id > $2
order by hc.hold_id
limit $4
) found
where $3::text[] is null or o.name = any($3)
order by 1
limit $4
;
-- hours_of_jobs
select date_trunc('hour', ended_at, 'UTC') as "hour!: SqlTimestamp",
coalesce(sum(size) filter (where result is null or result = 'completed'), 0)::bigint as "completed!",
coalesce(sum(size) filter (where result <> 'completed'), 0)::bigint as "others!"
from jobs
where org = $1 and ($2::text[] is null or org = any($2))
and ended_at >= $3 and ended_at < $4 and submitted_at is not null
group by 1
order by 1
;
-- hours_of_purges
select date_trunc('hour', p.created_at, 'UTC') as "hour!: SqlTimestamp",
sum(p.purged)::bigint as "purged!", sum(p.already_purged)::bigint as "already_purged!",
sum(p.on_hold + p.retained)::bigint as "protected!", sum(p.failed)::bigint as "failed!",
sum(p.not_found + p.active + p.canceled)::bigint as "others!",
sum(p.pending + p.eligible + p.submitted)::bigint as "open!"
from orgs o
cross join unnest($3::text[]) as s(state)
cross join lateral (
-- A range of one state: the planner would take an equation for leave to go by the ids of all states.
select * from purges
where org = o.name and state >= s.state::purge_state and state <= s.state::purge_state
order by state desc, id desc
limit $4
) p
where ($1::text[] is null or o.name = any($1)) and p.id >= $2 and not p.dry_run
group by 1
order by 1
;
-- ids_kept_by_job
select conversation_id from reservations where job_id = $1
;
-- ids_to_look_at
select s.ids, s.outcomes, p.positions, p.looked
from job_parts p
join slices s on (s.purge_id, s.slice_no) = (p.purge_id, p.slice_no)
where p.job_id = $1 and s.read_again_at is null
order by p.purge_id, p.slice_no
;
-- insert_child
insert into jobs (id, org, ids, size, parent, recheck, rechecked, lost_since, losses, search, after)
select $1, org, '{}', 0, id, $3, rechecked, lost_since, losses, case when $4 then coalesce(search, id) end, $5
from jobs
where id = $2
;
-- insert_endpoint_of_purge
insert into webhook_endpoints (id, url, orgs, purge_id, secret, key_id, created_by)
values ($1, $2, array[$3::text], $4, $5, $6, $7)
;
-- insert_index
insert into conversations (conversation_id, purge_id, ordinal)
select id, $2, ordinal from unnest($1::uuid[], $3::int[]) as new (id, ordinal)
;
-- insert_job
insert into jobs (id, org, ids, size) values ($1, $2, '{}', 0)
;
-- insert_purges
with clock as materialized (
select clock_timestamp() as now
), new as materialized (
select n.*, clock.now
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::boolean[], $7::text[],
$8::text[], $9::bigint[], $10::bigint[], $11::uuid[], $12::uuid[], $13::jsonb[])
as n (id, org, reason, reference, labels, dry_run, requested_by, request_id, duplicates, total, key_id,
event_id, payload)
join api_keys k on k.id = n.key_id and is_key_in_force(k.revoked_at, k.expires_at)
cross join clock
), purge as (
insert into purges (id, org, state, reason, reference, labels, dry_run, requested_by, request_id, created_at,
turn_at, ask_turn_at, ask_at, event_no, duplicates, total, pending, key_id)
select id, org, 'queued', reason, reference, labels, dry_run, requested_by, request_id, now,
now, now, now, 1, duplicates, total, total, key_id
from new
), tags as (
insert into purge_tags (org, tag, purge_id)
select new.org, t.tag, new.id
from unnest($14::uuid[], $15::text[]) as t (purge_id, tag)
join new on new.id = t.purge_id
), entry as materialized (
select e.purge_id, e.id, e.ordinal, new.org, new.now
from unnest($16::uuid[], $17::uuid[], $18::int[]) as e (purge_id, id, ordinal)
join new on new.id = e.purge_id
), slice as (
insert into slices (purge_id, slice_no, org, ids, outcomes, pending, run_at)
select purge_id, 0, org, array_agg(id order by ordinal), decode(repeat($19, count(*)::int), 'hex'), count(*),
now
from entry
group by purge_id, org, now
), entries as (
insert into conversations (conversation_id, purge_id, ordinal)
select id, purge_id, ordinal from entry
), event as (
insert into events (id, type, org, purge_id, event_no, actor, request_id, payload, at)
select event_id, $20, org, id, 1, requested_by, request_id, payload, now from new
)
select id as "id!", now as "now!: SqlTimestamp" from new
;
-- insert_slice
insert into slices (purge_id, slice_no, org, ids, outcomes, pending, run_at)
values ($1, $2, $3, $4, $5, cardinality($4::uuid[]), $6)
;
-- is_any_released
select exists (select from released where org = $1) as "is!"
;
-- is_key_in_force
select exists (
select from api_keys where id = $1 and is_key_in_force(revoked_at, expires_at)
) as "is_in_force!"
;
-- is_key_name_taken
select exists (
select from api_keys where name = $1 and is_key_in_force(revoked_at, expires_at)
) as "is_taken!"
;
-- is_known_repeat
select exists (
select from idempotency_keys
where key_id = $1 and key = $2 and created_at >= clock_timestamp() - make_interval(days => $3)
) as "is_known!"
;
-- is_retried_from
select exists (select from purges where id = $1 and retry_from = $2) as "is!"
;
-- is_there
select exists (
select from purges where id = $1 and ($2::text[] is null or org = any($2))
) as "is_there!"
;
-- is_upstream_id_known
select exists (select from jobs where org = $1 and upstream_job_id = $2) as "is_known!"
;
-- job
select id, state as "state: JobState", result as "result: JobResult", upstream_job_id, upstream_state,
coalesce((
select sum(cardinality(positions)) from job_parts where job_id = $1
), 0)::bigint as "conversations!",
records_processed, attempt, submitted_at, finished_at,
extract(epoch from ended_at - submitted_at)::float8 as latency_seconds, last_error
from jobs
where id = $1
;
-- job_by_our_id
select id, org from jobs where id = $1 and ($2::text[] is null or org = any($2))
;
-- jobs_by_upstream_id
select j.id, j.org
from orgs o
join jobs j on j.org = o.name and j.upstream_job_id = $1
where $2::text[] is null or o.name = any($2)
limit 2
;
-- jobs_of
select j.id, j.state as "state: JobState", j.result as "result: JobResult", j.upstream_job_id, j.upstream_state,
p.conversations as "conversations!", j.records_processed, j.attempt, j.submitted_at, j.finished_at,
extract(epoch from j.ended_at - j.submitted_at)::float8 as latency_seconds, j.last_error
from (
select job_id, sum(cardinality(positions))::bigint as conversations
from job_parts
where purge_id = $1 and ($2::uuid is null or job_id > $2)
group by job_id
order by job_id
limit $3
) p
join jobs j on j.id = p.job_id
order by j.id
;
-- jobs_underway
select p.purge_id, j.id, j.state as "state: JobState", j.result as "result: JobResult", j.upstream_job_id,
j.upstream_state, sum(cardinality(p.positions))::bigint as "conversations!", j.records_processed, j.attempt,
j.submitted_at, j.finished_at,
extract(epoch from j.ended_at - j.submitted_at)::float8 as latency_seconds, j.last_error
from jobs j
join job_parts p on p.job_id = j.id
where (j.state <> 'done' or j.id = any($2)) and p.purge_id = any($1)
and ($3::text[] is null or j.org = any($3))
group by p.purge_id, j.id
order by j.id
;
-- keep_previous_secret
insert into service_secrets (name, value, until)
select name || '_previous', value, clock_timestamp() + interval '24 hours' from service_secrets
where name = $1
on conflict (name) do update set value = excluded.value, until = excluded.until
;
-- keep_rewind
insert into rewinds (id, kind, missing_since, found_at, details) values ($1, $2, $3, clock_timestamp(), $4)
;
-- keep_secret
insert into service_secrets (name, value) values ($1, $2)
on conflict (name) do update set name = excluded.name
returning value
;
-- kept_secrets
select value from service_secrets
where name = $1 or (name = $1 || '_previous' and until > clock_timestamp())
order by name
;
-- know_org
insert into orgs (name, policy, policy_epoch) values ($1, $2, 0) on conflict do nothing
;
-- known_controls
select conversation_id as "conversation_id!", missed as "missed!", is_missed_alone as "is_missed_alone!"
from controls_known
where org = $1
order by missed, seen_at desc, conversation_id
;
-- known_orgs
select name from orgs order by name
;
-- learn_pace
update paces set model = $2 where org = $1
;
-- lease_slices
update slices s
set state = 'validating', epoch = s.epoch + 1, asked = leased.asked,
lease_until = clock_timestamp() + make_interval(secs => $4)
from unnest($1::uuid[], $2::int[], $3::smallint[]) as leased (purge_id, slice_no, asked)
where (s.purge_id, s.slice_no) = (leased.purge_id, leased.slice_no)
returning s.purge_id, s.slice_no, s.epoch
;
-- leave_endpoint_alone
update endpoint_health set open_until = clock_timestamp() + make_interval(secs => $2) where endpoint = $1
;
-- limit_look
select set_config('statement_timeout', '8s', true) as "limit!"
;
-- limit_readings
select set_config('statement_timeout', '2s', true) as "limit"
;
-- line_up
select id as "id!", drawable as "drawable!"
from purges_drawable
where org = $1
order by turn_at, id
limit 200
;
-- line_up_to_ask
update purges set ask_at = next_ask(id, ask_turn_at) where id = any($1)
;
-- list_all_purges
select id from purges where id < $1 order by id desc limit $2
;
-- list_deliveries
select found.created_at as "created_at!", found.id as "id!"
from (
select of_org.created_at, of_org.id
from orgs o
cross join lateral (
select created_at, id from deliveries
where org = o.name and created_at >= coalesce($2::timestamptz, '-infinity')
and (created_at, id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $6))
order by created_at desc, id desc
limit $5
) of_org
where $1::text[] is null or o.name = any($1)
union all
(
select created_at, id from deliveries
where $1::text[] is null and org is null and created_at >= coalesce($2::timestamptz, '-infinity')
and (created_at, id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $6))
order by org desc, created_at desc, id desc
limit $5
)
) found
order by 1 desc, 2 desc
limit $5
;
-- list_deliveries_in_state
select found.created_at as "created_at!", found.id as "id!"
from (
select of_org.created_at, of_org.id
from orgs o
cross join lateral (
select created_at, id from deliveries
where org = o.name and state = $7::text::delivery_state
and created_at >= coalesce($2::timestamptz, '-infinity')
and (created_at, id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $6))
order by created_at desc, id desc
limit $5
) of_org
where $1::text[] is null or o.name = any($1)
union all
(
select created_at, id from deliveries
where $1::text[] is null and org is null and state = $7::text::delivery_state
and created_at >= coalesce($2::timestamptz, '-infinity')
and (created_at, id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $6))
order by org desc, created_at desc, id desc
limit $5
)
) found
order by 1 desc, 2 desc
limit $5
;
-- list_deliveries_of_endpoint
select created_at, id,
($6::text is null or state::text = $6) and ($7::text[] is null or org = any($7)) as "is_wanted!"
from deliveries
where endpoint = $1 and created_at >= coalesce($2::timestamptz, '-infinity')
and (created_at, id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $8))
order by created_at desc, id desc
limit $5
;
-- list_deliveries_of_purge
select p.created_at, p.delivery_id,
($7::text is null or d.state::text = $7) and ($8::text is null or d.endpoint = $8) as "is_wanted!"
from (
select created_at, delivery_id from purge_deliveries
where purge_id = $1 and created_at >= coalesce($2::timestamptz, '-infinity')
and (created_at, delivery_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, $6))
order by created_at desc, delivery_id desc
limit $5
) p
join deliveries d on d.id = p.delivery_id
order by p.created_at desc, p.delivery_id desc
;
-- list_keys
select
id, name, prefix, scopes, orgs, created_at, revoked_at, expires_at as "expires_at: SqlTimestamp",
last_used_at as "last_used_at: SqlTimestamp", is_key_in_force(revoked_at, expires_at) as "is_in_force!"
from api_keys
order by id
;
-- list_purges_by_end
select found.finished_at as "at!", found.id as "id!"
from orgs o
cross join lateral (
select finished_at, id from purges
where org = o.name and finished_at >= $2
and (finished_at, id) < (coalesce($3::timestamptz, 'infinity'), $4)
order by finished_at desc, id desc
limit $5
) found
where $1::text[] is null or o.name = any($1)
order by 1 desc, 2 desc
limit $5
;
-- list_purges_by_requester
select found.created_at as "at!", found.purge_id as "id!"
from orgs o
cross join lateral (
select created_at, purge_id from purge_requests
where org = o.name and requested_by = $6 and created_at >= coalesce($2::timestamptz, '-infinity')
and (created_at, purge_id) < (coalesce($3::timestamptz, 'infinity'), $4)
order by created_at desc, purge_id desc
limit $5
) found
where $1::text[] is null or o.name = any($1)
order by 1 desc, 2 desc
limit $5
;
-- list_purges_by_state
select found.id as "id!"
from orgs o
cross join unnest($2::text[]) as s (state)
cross join lateral (
select id from purges
where org = o.name and state = s.state::purge_state and id < $3
order by id desc
limit $4
) found
where $1::text[] is null or o.name = any($1)
order by found.id desc
limit $4
;
-- list_purges_by_time
select found.created_at as "at!", found.purge_id as "id!"
from orgs o
cross join lateral (
select created_at, purge_id from purge_requests
where org = o.name and created_at >= coalesce($2::timestamptz, '-infinity')
and (created_at, purge_id) < (coalesce($3::timestamptz, 'infinity'), $4)
order by created_at desc, purge_id desc
limit $5
) found
where $1::text[] is null or o.name = any($1)
order by 1 desc, 2 desc
limit $5
;
-- list_tagged_purges
select found.purge_id as "id!"
from orgs o
cross join lateral (
select purge_id from purge_tags
where org = o.name and tag = $1 and purge_id < $2
order by purge_id desc
limit $4
) found
where $3::text[] is null or o.name = any($3)
order by found.purge_id desc
limit $4
;
-- listening_endpoints
select id as "id!", purge_id, events, orgs from webhook_endpoints
where purge_id is null and deleted_at is null and enabled
union all
select id, purge_id, events, orgs from webhook_endpoints
where purge_id = any($1) and deleted_at is null and enabled
;
-- load_ended_purges
select id, state as "state: PurgeState", run, org, reference, started_at, duplicates, pending, eligible, submitted, purged,
already_purged, on_hold, retained, not_found, active, failed, canceled, would_purge, labels, dry_run
from purges
where id = any($1) and finished_at is null and pending + eligible + submitted = 0 and retry_from is null
and not exists (select from slices_set_aside where purge_id = purges.id)
order by id
;
-- load_hold
insert into holds (id, matter, created_by, request_id, created_at, conversations, orgs, external_id, key_id,
reason)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
;
-- load_hold_conversations
insert into hold_conversations (conversation_id, org, hold_id)
select id, org, $3 from unnest($1::uuid[]) as c (id) cross join unnest($2::text[]) as o (org)
;
-- load_parts
select job_id, purge_id, slice_no, positions, carried_before, facts_at, facts_epoch, looked
from job_parts
where job_id = any($1)
;
-- lock_breaker
select failures, broken_until as "broken_until: SqlTimestamp", is_probing,
clock_timestamp() as "now!: SqlTimestamp"
from limiters
where org = $1
for update
;
-- lock_controls
select conversation_id, missed, coalesce(missed_at > clock_timestamp() - make_interval(secs => $2), false) as "is_counted!"
from controls
where org = $1
order by conversation_id
for update
;
-- lock_delivery
select state as "state: DeliveryState", event_id from deliveries
where id = $1 and ($2::text[] is null or org = any($2))
for no key update
;
-- lock_endpoint
select id from webhook_endpoints where id = $1 for no key update
;
-- lock_job
select id, state as "state: JobState", rechecked, search is not null as "is_piece!", cardinality(ids) as named, misses, losses, upstream_job_id,
upstream_succeeded, records_processed, intended_at, submitted_at, claimed_at, seen_running_at, ended_at,
lost_since, overdue_since
from jobs
where id = $1 and epoch = $2
for update
;
-- lock_job_to_set_back
select blind from jobs
where id = $1 and epoch = $2 and lease_until is not null and state not in ('submitting', 'done')
for update
;
-- lock_key_names
select true as "is_locked!" from pg_advisory_xact_lock($1)
;
-- lock_limiter
select arrival_at, closed_until, allowed_per_minute, calls, called_at, failures,
broken_until as "broken_until: SqlTimestamp", is_probing,
clock_timestamp() as "now!: SqlTimestamp"
from limiters
where org = $1
for update
;
-- lock_limiter_to_stop
select from limiters where org = $1 for update
;
-- lock_migrations
select pg_advisory_lock($1)
;
-- lock_org
select policy_epoch, blocked_call, probe_at as "probe_at: SqlTimestamp", stopped_at is not null as "is_stopped!",
intents_from as "intents_from: SqlTimestamp",
-- Looked for only if it is blocked: most transactions under this lock need not know.
case when blocked_call is not null then coalesce(
(select true from purges_asked_for_slots where org = $1 order by ask_at, id limit 1),
(select true from purges_asked_first where org = $1 order by ask_at, id limit 1),
(select true from slices where org = $1 and state = 'validating' order by lease_until limit 1),
false
) else false end as "has_questions!"
from orgs
where name = $1
for no key update
;
-- lock_org_to_enroll
select policy, policy_epoch from orgs where name = $1 for no key update
;
-- lock_orgs
select name from orgs where name = any($1) order by name for no key update
;
-- lock_pace
select model as "model: Json<Pace>" from paces where org = $1 for update
;
-- lock_purges
select id, org, total - pending - eligible - submitted as "settled!", started_at, rate_at, rate_settled,
rate_from_at, rate_from_settled
from purges
where id = any($1)
order by id
for no key update
;
-- lock_purges_in_order
select id from purges where id = any($1) order by id for no key update
;
-- lock_record
select from database_history for update
;
-- lock_repeat_key
select pg_try_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0)) as "is_locked!"
;
-- lock_slices
select s.purge_id, s.slice_no, s.ids, s.outcomes, s.state as "state: SliceState", s.epoch, s.facts_at,
s.facts_epoch, s.absent_at, s.tries, s.fruitless, s.silent,
s.silent_since as "silent_since: Vec<SqlTimestamp>", s.read_again_at is not null as "is_set_aside!",
s.unreadable_tries
from slices s
join unnest($1::uuid[], $2::int[]) as wanted (purge_id, slice_no)
on (s.purge_id, s.slice_no) = (wanted.purge_id, wanted.slice_no)
order by s.purge_id, s.slice_no
for update of s
;
-- lock_slices_to_ask
select s.purge_id, s.slice_no, s.ids, s.outcomes, s.tries, s.fruitless, s.panics, s.silent, p.dry_run
from slices s
join unnest($1::uuid[], $2::int[]) as wanted (purge_id, slice_no)
on (s.purge_id, s.slice_no) = (wanted.purge_id, wanted.slice_no)
join purges p on p.id = s.purge_id
where s.state = 'queued' and s.read_again_at is null and s.run_at <= clock_timestamp()
order by s.purge_id, s.slice_no
for update of s skip locked
;
-- lock_slices_to_set_back
select s.purge_id, s.slice_no, s.panics
from slices s
join unnest($1::uuid[], $2::int[], $3::bigint[]) as held (purge_id, slice_no, epoch)
on (s.purge_id, s.slice_no, s.epoch) = (held.purge_id, held.slice_no, held.epoch)
where s.state = 'validating'
order by s.purge_id, s.slice_no
for update of s
;
-- lock_stamps
select pg_try_advisory_xact_lock($1) as "is_locked!"
;
-- lock_unknown_pieces
select j.id
from jobs j
join search_pieces p on p.id = j.id
where j.org = $1 and j.state <> 'done' and j.next_step = 'intend' and j.due_at <= clock_timestamp()
and p.standing = 'unknown' and j.id <> $2 and j.lost_since is null
and not exists (select from search_pieces_held_back h where h.id = j.id)
and exists (select from jobs where id = $2 and lost_since is null)
order by j.created_at, j.id
limit $3
for update of j skip locked
;
-- look_again
update jobs
set run_at = $2::timestamptz + make_interval(secs => $3), lease_until = null,
tries = case when $7 then 0 else least(tries + 1, 1000) end,
blind = case when $5 then least(blind + 1, 1000) when $8 then 0 else blind end,
last_error = coalesce($4, last_error), open = $6
where id = $1
;
-- look_at_purges
select id, state as "state: PurgeState", run, event_no, duplicates, pending, eligible, submitted, purged,
already_purged, on_hold, retained, not_found, active, failed, canceled, would_purge
from purges
where id = any($1) and ($2::text[] is null or org = any($2))
;
-- make_piece
update jobs set after = null where id = $1 and state = 'waiting'
;
-- may_not_ask
select exists (select from orgs where name = $1 and stopped_at is not null)
or exists (select from purges where id = any($2) and state not in ('queued', 'running')) as "rests!"
;
-- missed_events
select e.purge_id as "purge_id!", e.event_no as "event_no!", e.id, e.type as "event: EventType", e.at, e.actor,
e.request_id, e.job_id, e.payload, j.upstream_job_id as "upstream_job_id?"
from unnest($1::uuid[], $2::int[]) as known (purge_id, event_no)
join events e on e.purge_id = known.purge_id and e.event_no > known.event_no
left join jobs j on j.id = e.job_id
where $3::text[] is null or e.org = any($3)
order by e.purge_id, e.event_no
limit $4
;
-- missing_of
select id, not_found, total - pending as "judged!"
from purges
where id = any($1) and state = 'running' and not dry_run and much_missing_at is null
order by id
;
-- move_backlog
update events_backlog set after = $1
;
-- move_retry_on
update purges set retry_from = $3 where id = $1 and retry_from = $2
;
-- narrow_purges
select c.id as "id!"
from unnest($1::uuid[]) as c (id)
cross join lateral (
select org, state, requested_by, created_at from purges where id = c.id
offset 0
) p
where ($2::text is null or p.state::text = $2)
and ($3::text is null or p.requested_by = $3)
and ($4::timestamptz is null or p.created_at >= $4)
and ($5::timestamptz is null or p.created_at < $5)
and not exists (
select from unnest($6::text[]) as t (tag)
cross join lateral (
select count(*) as number from purge_tags where org = p.org and tag = t.tag and purge_id = c.id
) has
where has.number = 0
)
;
-- newest_migration
select max(version) from _sqlx_migrations where success
;
-- note_act
insert into purge_acts (purge_id, act, actor, reason, at)
values ($1, $2, $3, $4, clock_timestamp())
on conflict (purge_id, act) do update
set actor = excluded.actor, reason = excluded.reason, at = excluded.at
;
-- note_answered
update limiters l
set failures = 0, broken_until = null, is_probing = false, broken_since = null, broken_call = null,
broken_detail = null
from (select org, broken_until is not null as was_open from limiters where org = $1 for update) before
where l.org = before.org
returning before.was_open as "was_open!"
;
-- note_conflict
update jobs set conflicted = true where id = $1
;
-- note_control
update controls
set seen_at = case when $3 then seen_at else clock_timestamp() end,
missed = case when $3 then least(missed + 1, 1000) else 0 end,
missed_at = case when $3 then clock_timestamp() end, is_missed_alone = $4
where org = $1 and conversation_id = $2
;
-- note_ground
insert into database_history (system_identifier, timeline, position, noted_at)
values ($1, $2, $3, clock_timestamp())
on conflict (is_only) do update
set system_identifier = excluded.system_identifier, timeline = excluded.timeline, position = excluded.position,
noted_at = excluded.noted_at
;
-- note_lag
update jobs set lag_seconds = greatest(lag_seconds, $2) where id = $1
;
-- note_login_trouble
insert into login_troubles as t (org, since, detail, next_try_at)
values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))
on conflict (org) do update
set since = least(t.since, excluded.since), detail = excluded.detail, next_try_at = excluded.next_try_at
;
-- note_misses
update jobs set misses = $2, last_error = $3 where id = $1
;
-- note_org_act
insert into org_acts (org, act, actor, reason, at)
values ($1, $2, $3, $4, clock_timestamp())
on conflict (org, act) do update
set actor = excluded.actor, reason = excluded.reason, at = excluded.at
;
-- note_released
insert into released (org, conversation_id)
select $1, gone.id
from unnest($2::uuid[]) as gone (id)
where exists (select from waiters where org = $1 and conversation_id = gone.id)
on conflict do nothing
;
-- note_success
update limiters
set refusals = case when refused_call = $2 then 0 else refusals end,
refused_call = nullif(refused_call, $2),
allowed_per_minute = coalesce($3, allowed_per_minute)
where org = $1
;
-- note_swept
update purges p set swept = true
from (select id from purges where id = any($1) order by id for no key update) locked
where p.id = locked.id
;
-- note_token
insert into tokens (org, got_at, expires_at)
values ($1, clock_timestamp() - make_interval(secs => $2), clock_timestamp() + make_interval(secs => $3))
on conflict (org) do update set got_at = excluded.got_at, expires_at = excluded.expires_at
where tokens.got_at < excluded.got_at
;
-- note_unanswered
update limiters
set failures = $2, broken_until = $3::timestamptz, is_probing = $4,
broken_since = case when $3::timestamptz is not null then coalesce(broken_since, $7) end,
broken_call = case when $3 is not null then $5::text end, broken_detail = case when $3 is not null then $6 end,
refused_call = case when $3 is not null then $5 else refused_call end
where org = $1
;
-- note_worker
with forgotten as (
delete from org_workers where seen_until < clock_timestamp() - interval '1 hour'
)
insert into org_workers (org, worker, is_paused, since, seen_until)
select org, $1, $3, clock_timestamp(), clock_timestamp() + make_interval(secs => $4)
from unnest($2::text[]) as o (org)
on conflict (org, worker) do update set seen_until = excluded.seen_until
;
-- observed_jobs
select greatest(
percentile_cont(0.99) within group (order by extract(epoch from ended_at - submitted_at)::float8),
(
select max(extract(epoch from clock_timestamp() - submitted_at))::float8
from jobs
where org = $1 and state = 'submitted' and overdue_since is null
)
) as longest,
max(lag_seconds) as lag
from (
select ended_at, submitted_at, lag_seconds
from jobs
where org = $1 and ended_at is not null and submitted_at is not null and overdue_since is null
and misses < $2
order by ended_at desc
limit 100
) recent
;
-- offer_controls
insert into controls (org, conversation_id, seen_at)
select $1, seen.id, clock_timestamp()
from unnest($2::uuid[]) as seen (id)
where not is_no_control($1, seen.id)
order by seen.id
on conflict (org, conversation_id) do update
set seen_at = excluded.seen_at, missed = 0, missed_at = null, is_missed_alone = false
;
-- oldest_open_purge
select p.id as "id!"
from orgs o
cross join unnest($2::text[]) as s(state)
cross join lateral (
select id from purges
where org = o.name and state >= s.state::purge_state and state <= s.state::purge_state
order by state, id
limit 1
) p
where $1::text[] is null or o.name = any($1)
order by p.id
limit 1
;
-- open_purges_of
select count(*) as "open!"
from (select from purges where key_id = $1 and finished_at is null limit $2) open
;
-- ordinal_of
select c.ordinal
from conversations c
join purges p on p.id = c.purge_id
where c.conversation_id = $1 and c.purge_id = $2 and ($3::text[] is null or p.org = any($3))
;
-- org_conditions
select name, blocked_code, blocked_detail, blocked_at, stopped_at, stopped_by, stopped_reason,
(select since from paused_orgs where org = name) as "paused_since: SqlTimestamp",
(select count(*) from jobs where org = name and state = 'in_doubt') as "in_doubt!",
parked.slices as "parked!", parked.purge as "parked_of: Uuid"
from orgs
cross join lateral (
select count(*) as slices, min(purge_id::text)::uuid as purge
from slices
where org = name and parked_at is not null
) parked
order by name
;
-- org_of_purge
select org from purges where id = $1 and ($2::text[] is null or org = any($2))
;
-- orgs
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
order by o.name
;
-- orgs_to_rewind
select name, (
select min(missing_since) from rewinds where found_at >= orgs.rewound_at
) as "missing_since: SqlTimestamp"
from orgs
where rewound_at is null or $1
order by name
;
-- owe_deliveries
insert into deliveries (id, event_id, endpoint, payload, run_at, due_at)
select id, event_id, endpoint, payload,
case when endpoint = $5 then clock_timestamp() else '9999-01-01' end,
case when endpoint = $5 then null else clock_timestamp() end
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) as new (id, event_id, endpoint, payload)
;
-- poll_again
update jobs
set run_at = $2::timestamptz + make_interval(secs => $3), lease_until = null, misses = $4,
tries = least(tries + 1, 1000), blind = 0, upstream_state = coalesce($5, upstream_state),
records_processed = coalesce($6, records_processed), last_error = coalesce($7, last_error),
seen_running_at = $8, overdue_since = case when $9 then coalesce(overdue_since, $2) end
where id = $1 and state = 'submitted'
;
-- postpone_job
update jobs
set run_at = clock_timestamp() + make_interval(secs => $2), tries = least(tries + 1, 1000), last_error = $3
where id = $1 and state = 'waiting'
;
-- promise
update jobs
set state = 'submitting', epoch = epoch + 1, attempt = attempt + 1, open = size, intended_at = $2,
lease_until = $2::timestamptz + make_interval(secs => $4),
call_before = $2::timestamptz + make_interval(secs => $3)
where id = $1 and state = 'waiting'
returning epoch, attempt, (parent is null and not conflicted) as "is_as_packed!"
;
-- protecting
select found.hold, found.matter, found.holds as "holds!"
from unnest($1::text[], $2::uuid[], $3::timestamptz[]) with ordinality as k (org, conversation_id, at, n)
cross join lateral (
select count(*) as holds, (array_agg(hold_id order by hold_id))[1] as hold,
(array_agg(matter order by hold_id))[1] as matter
from (
select hc.hold_id, h.matter
from hold_conversations hc
cross join lateral (
select matter from holds
where id = hc.hold_id and created_at <= k.at and (active or released_at >= k.at)
-- One at a time: no plan reads holds that do not name it.
offset 0
) h
where hc.conversation_id = k.conversation_id and hc.org = k.org
order by hc.hold_id
limit $4
) protecting
) found
order by k.n
;
-- purge_states
select id, state as "state: PurgeState" from purges where id = any($1)
;
-- purges
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
order by p.id desc
;
-- quiet_at
select greatest(last.call_before, clock_timestamp()) as "quiet_at!: SqlTimestamp",
g.system as "system!", g.timeline as "timeline!", g.position as "position!"
from ground g
cross join lateral (
select max(call_before) as call_before
from jobs j
where org = any($1) and state = 'submitting'
and ($2::uuid is null or exists (select from job_parts where job_id = j.id and purge_id = $2))
) last
;
-- readings_deliveries
select pending.number as "pending!", dead.number as "dead!",
extract(epoch from clock_timestamp() - pending.oldest)::float8 as oldest_pending_seconds
from (select count(*) as number, min(created_at) as oldest from deliveries where state = 'pending') pending
cross join (select count(*) as number from deliveries where state = 'dead') dead
;
-- readings_jobs
select org, state as "state: JobState", count(*) as "number!"
from jobs
where state <> 'done'
group by org, state
;
-- readings_orgs
select name as org, blocked_code, stopped_at is not null as "is_stopped!",
exists (select from paused_orgs where org = name) as "is_paused!",
(select count(*) from slices where org = name and parked_at is not null) as "parked!"
from orgs
order by name
;
-- readings_purges
select org, state as "state: PurgeState", count(*) as "number!", sum(pending)::bigint as "pending!",
sum(eligible)::bigint as "eligible!", sum(submitted)::bigint as "submitted!",
extract(epoch from clock_timestamp() - min(created_at))::float8 as "oldest!"
from purges
where finished_at is null
group by org, state
;
-- readings_unstamped
select count(*) as "number!" from events_unstamped
;
-- record_accepted
update jobs
set state = 'submitted', upstream_job_id = $3, body_sha256 = $4, submitted_at = clock_timestamp(),
run_at = clock_timestamp() + make_interval(secs => $5),
expected_end_at = clock_timestamp() + make_interval(secs => $6::float8), lease_until = null, tries = 0,
misses = 0, blind = 0, losses = 0, seen_running_at = null, lost_since = null, last_error = null
where id = $1 and epoch = $2 and state = 'submitting'
;
-- record_attempts
with sent as materialized (
select * from jsonb_to_recordset($1) as s (
id uuid, epoch bigint, state text, again float8, status int, error text, latency float8, response text
)
), locked as (
select d.id from deliveries d
where d.id = any(array(select id from sent))
and exists (select from sent s where s.id = d.id and s.epoch = d.epoch)
order by d.id
for no key update
), recorded as (
update deliveries d
set state = case when s.state = 'dead' and d.schedule_from > d.attempt then 'pending'
else s.state::delivery_state end,
run_at = case when d.due_at is null then clock_timestamp() + make_interval(secs => case when d.schedule_from > d.attempt then 0 else s.again end) else d.run_at end,
due_at = case when d.due_at is null then null else clock_timestamp() + make_interval(secs => case when d.schedule_from > d.attempt then 0 else s.again end) end,
attempt = d.attempt + 1, last_status = s.status, last_error = s.error, lease_until = null,
delivered_at = case when s.state = 'delivered' then clock_timestamp() end
from sent s
where d.id = any(array(select id from locked)) and s.id = d.id and s.epoch = d.epoch
returning d.id, d.attempt, d.state, coalesce(d.due_at, d.run_at) as due
), logged as (
insert into delivery_attempts (delivery_id, attempt, at, status, latency_seconds, response, error)
select r.id, r.attempt, clock_timestamp() - make_interval(secs => s.latency), s.status, s.latency,
s.response, s.error
from recorded r
join sent s on s.id = r.id
)
select id, case when state = 'pending' then extract(epoch from due - clock_timestamp()) end::float8 as wait
from recorded
;
-- record_lost
update jobs
set state = 'in_doubt', lost_since = coalesce(lost_since, clock_timestamp()), body_sha256 = $5,
losses = least(losses + 1, 1000), run_at = clock_timestamp() + make_interval(secs => $3),
lease_until = null, tries = 0, blind = 0, last_error = $4
where id = $1 and epoch = $2 and state = 'submitting'
;
-- record_recheck
update jobs
set recheck = false, rechecked = true, run_at = clock_timestamp(), lease_until = null, blind = 0, tries = 0
where id = $1 and state = 'waiting'
;
-- recover_endpoints
update endpoint_health set failures = 0, failing_since = null, open_until = null
where endpoint = any($1) and failures > 0
;
-- redeliver
update deliveries
set state = 'pending', delivered_at = null,
run_at = case when due_at is null then clock_timestamp() else run_at end,
due_at = case when due_at is null then null else clock_timestamp() end,
schedule_from = attempt + case when lease_until > clock_timestamp() then 1 else 0 end
where id = $1
;
-- redeliver_dead
update deliveries d
set state = 'pending', schedule_from = d.attempt,
run_at = case when d.due_at is null then clock_timestamp() else d.run_at end,
due_at = case when d.due_at is null then null else clock_timestamp() end
from (
select id from deliveries where id = any($1) and state = 'dead' order by id for no key update
) locked
where d.id = locked.id
returning d.org
;
-- registered_endpoints
select id from webhook_endpoints
where purge_id is null and deleted_at is null and ($1::text[] is null or orgs <@ $1)
and id < coalesce($2::uuid, $4)
order by id desc
limit $3
;
-- release
delete from reservations where org = $1 and conversation_id = any($2) and job_id = any($3)
;
-- release_hold
update holds set active = false, released_at = clock_timestamp(), released_by = $2, release_reason = $3
where id = $1 and released_at is null
;
-- release_left_out
delete from reservations
where org = $1 and conversation_id = any($2) and job_id = any($3)
returning conversation_id
;
-- release_untold
delete from reservations r
using jobs j
where j.id = r.job_id and j.id = any($1)
returning r.org, r.conversation_id, r.job_id, j.may_delete
;
-- reserve
insert into reservations (org, conversation_id, job_id)
select $1, id, $2 from unnest($3::uuid[]) as new (id)
on conflict do nothing
returning conversation_id
;
-- reserve_released
delete from released where org = $1 and conversation_id = any($2)
;
-- resume_org
update orgs set stopped_at = null, stopped_by = null, stopped_reason = null, rewound_at = null
where name = $1 and stopped_at is not null
;
-- retried_purge_to_sweep
select id as "id!", retry_from as "retry_from!"
from retried_to_sweep
where org = $1 and id <> all($2)
order by total, id
limit 1
;
-- revoke_key
update api_keys set revoked_at = clock_timestamp() where id = $1 and revoked_at is null
;
-- rotate_endpoint_secret
update webhook_endpoints
set previous_secret = secret, previous_until = clock_timestamp() + interval '24 hours', secret = $2,
updated_at = clock_timestamp()
where id = $1
;
-- rotate_secret
insert into service_secrets (name, value) values ($1, $2)
on conflict (name) do update set value = excluded.value
;
-- schema_floor
select oldest from schema_floor
;
-- seen_by_search
select count(*) filter (where result = 'rejected' and conflicted and size = 1) as "offenders!",
coalesce(sum(size) filter (where upstream_job_id is not null), 0)::bigint as "cleared!"
from jobs
where search = (select search from jobs where id = $1)
;
-- server_condition
select current_setting('server_version') as "version!",
current_setting('server_version_num')::int / 10000 as "major!",
current_setting('max_connections')::bigint
- current_setting('superuser_reserved_connections')::bigint as "allowed!",
(select sum(numbackends)::bigint from pg_stat_database) as "taken!",
clock_timestamp() as "now!: SqlTimestamp"
;
-- set_aside
update slices s
set state = case when s.state = 'validating' then 'queued' else s.state end, lease_until = null, asked = 0,
epoch = s.epoch + 1, drawable = 0, unreadable_why = new.why,
unreadable_tries = least(s.unreadable_tries + 1, 1000),
read_again_at = $6::timestamptz + make_interval(secs => new.wait),
parked_at = case when new.is_parked then coalesce(s.parked_at, $6) end
from unnest($1::uuid[], $2::int[], $3::text[], $4::float8[], $5::bool[])
as new (purge_id, slice_no, why, wait, is_parked)
join slices old on (old.purge_id, old.slice_no) = (new.purge_id, new.slice_no)
where (s.purge_id, s.slice_no) = (new.purge_id, new.slice_no)
returning s.purge_id, s.slice_no, new.why as "why!", old.drawable,
s.parked_at is not null and old.parked_at is null as "is_parked_now!"
;
-- set_endpoint
update webhook_endpoints
set url = $2, description = $3, events = $4, orgs = $5, enabled = $6, updated_at = clock_timestamp(),
disabled_at = case when not $6 then coalesce(disabled_at, clock_timestamp()) end,
disabled_reason = case when not $6 then disabled_reason end
where id = $1
;
-- set_job_back
update jobs
set lease_until = null, epoch = epoch + 1, blind = least(blind + 1, 1000), last_error = $3,
run_at = clock_timestamp() + make_interval(secs => $2)
where id = $1
;
-- set_job_ids
update jobs set ids = $2, size = cardinality($2::uuid[]) where id = $1
;
-- set_slices_back
update slices s
set state = 'queued', lease_until = null, asked = 0, epoch = s.epoch + 1,
panics = least(s.panics + 1, 1000), run_at = clock_timestamp() + make_interval(secs => back.wait)
from unnest($1::uuid[], $2::int[], $3::float8[]) as back (purge_id, slice_no, wait)
where (s.purge_id, s.slice_no) = (back.purge_id, back.slice_no)
;
-- shares_of_job
select purge_id, sum(cardinality(positions))::bigint as "conversations!"
from job_parts
where job_id = $1
group by purge_id
order by purge_id
;
-- slice_to_read_again
select parked_at is not null as "is_parked!",
exists (
select from job_parts jp
join jobs j on j.id = jp.job_id
where jp.purge_id = $1 and jp.slice_no = $2 and j.state <> 'done'
) as "is_carried!"
from slices_set_aside
where purge_id = $1 and slice_no = $2 and read_again_at <= clock_timestamp()
;
-- slices_due_first
with in_line as materialized (
select id, ask_at
from purges_asked_first
where org = $1 and ask_at <= (select clock_timestamp())
order by ask_at, id
limit 200
), of_each as materialized (select greatest(500 / nullif(count(*), 0), 4) as slices from in_line)
select p.id as "purge!", s.slice_no as "slice_no!", s.pending as "pending!",
(exists (select from controls_known where org = $1)) as "has_control!"
from in_line p
cross join lateral (
select slice_no, pending, run_at
from slices_to_ask
where purge_id = p.id and run_at <= (select clock_timestamp())
order by run_at, slice_no
limit (select slices from of_each)
) s
order by p.ask_at, p.id, s.run_at, s.slice_no
;
-- slices_due_for_slots
with in_line as materialized (
select id, ask_at
from purges_asked_for_slots
where org = $1 and ask_at <= (select clock_timestamp())
order by ask_at, id
limit 200
), of_each as materialized (select greatest(500 / nullif(count(*), 0), 4) as slices from in_line)
select p.id as "purge!", s.slice_no as "slice_no!", s.pending as "pending!",
(exists (select from controls_known where org = $1)) as "has_control!"
from in_line p
cross join lateral (
select slice_no, pending, run_at
from slices_to_ask
where purge_id = p.id and run_at <= (select clock_timestamp())
order by run_at, slice_no
limit (select slices from of_each)
) s
order by p.ask_at, p.id, s.run_at, s.slice_no
;
-- slices_to_cancel
select p.id as "purge!", open.slice_no as "slice_no!"
from unnest($1::uuid[]) p (id)
cross join lateral (
(
select slice_no from slices_to_ask
where purge_id = p.id
order by run_at, slice_no
limit $3
)
union
(select slice_no from slices where purge_id = p.id and drawable > 0 order by slice_no limit $3)
union
(select slice_no from slices where org = $2 and state = 'validating' and purge_id = p.id limit $3)
union
(select slice_no from waiters where purge_id = p.id limit $3)
union
-- What a job that is no longer waiting has left as it was, and has not let go.
(
select jp.slice_no
from jobs j
join job_parts jp on jp.job_id = j.id
join slices s on (s.purge_id, s.slice_no) = (jp.purge_id, jp.slice_no)
where j.org = $2 and j.state not in ('waiting', 'done') and jp.purge_id = p.id
and s.read_again_at is null
and exists (
select from generate_series(0, length(s.outcomes) - 1) as at (n)
where get_byte(s.outcomes, n) & 15 = $4
)
limit $3
)
limit $3
) open
;
-- slices_to_read_again
select purge_id as "purge!", slice_no as "slice_no!"
from slices_set_aside
where org = $1 and read_again_at <= (select clock_timestamp()) and purge_id <> all($2)
order by read_again_at
limit $3
;
-- slices_to_retry
select slice_no, outcomes from slices
where purge_id = $1 and slice_no >= $2
order by slice_no
limit $3
;
-- slices_to_wake
select distinct first.purge_id as "purge!", first.slice_no as "slice_no!"
from (
select w.purge_id, w.slice_no
from released r
cross join lateral (
select purge_id, slice_no from waiters
where org = r.org and conversation_id = r.conversation_id and purge_id <> all($2)
order by purge_id
limit $3
) w
where r.org = $1
limit $3
) first
;
-- some_purges_of_jobs
select distinct purge_id from job_parts where job_id = any($1) order by purge_id limit $2
;
-- stamp_backlog
with walked as (
select id, purge_id, event_no from events where id > $1 and id <= $2
), due as (
select id from walked
union
select e.id
from (select purge_id, max(event_no) as event_no from walked where purge_id is not null group by purge_id) w
cross join lateral (
select id from events where purge_id = w.purge_id and event_no < w.event_no order by event_no desc offset 0
) e
), placed as (
select e.id, e.org, e.event_no,
max(e.at) over (partition by coalesce(e.purge_id, e.id) order by e.event_no) as at
from due
cross join lateral (select id, org, purge_id, event_no, at from events where id = due.id limit 1) e
left join lateral (select true as is_so from event_numbers where event_id = due.id limit 1) numbered on true
left join lateral (select true as is_so from events_unstamped where event_id = due.id limit 1) new on true
where numbered.is_so is null and new.is_so is null
), last as materialized (
select coalesce(max(no), 0) as no, (select stamped_at from event_numbers order by no desc limit 1) as stamped_at
from event_numbers
)
insert into event_numbers (no, event_id, org, stamped_at)
select last.no + row_number() over in_order, placed.id, placed.org,
greatest(last.stamped_at, max(placed.at) over in_order)
from placed
cross join last
window in_order as (order by placed.at, placed.event_no, placed.id)
;
-- stamp_committed
with taken as (
delete from events_unstamped
where place = any(array(select place from events_unstamped order by place limit $1))
returning place, event_id
), last as materialized (
select coalesce(max(no), 0) as no,
greatest(clock_timestamp(), (select stamped_at from event_numbers order by no desc limit 1)) as now
from event_numbers
)
insert into event_numbers (no, event_id, org, stamped_at)
select last.no + row_number() over (order by taken.place), e.id, e.org, last.now
from taken
cross join lateral (select id, org from events where id = taken.event_id limit 1) e
cross join last
;
-- standing_of_purge
select state as "state: PurgeState", started_at is not null as "has_started!", run,
much_missing_at is not null as "is_missing_told!"
from purges
where id = $1
;
-- start_purges
with locked as (
select id, state from purges where id = any($1) order by id for no key update
), started as (
update purges p
set state = 'running', started_at = coalesce(p.started_at, turn.at),
ask_turn_at = turn.at, ask_at = next_ask(p.id, turn.at)
from locked, (select clock_timestamp() as at) turn
where p.id = locked.id and locked.state in ('queued', 'running')
)
select id, state as "state: PurgeState" from locked
;
-- steer_purge
update purges
set state = $2::text::purge_state, run = run + $3::boolean::int,
finished_at = case when $3 then null else finished_at end,
retry_from = case when $3 then 0 when $4 then null else retry_from end,
paused_for = $5::text,
much_missing_at = case when $5 is null then much_missing_at else clock_timestamp() end
where id = $1
;
-- stop_new_org
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
) as "missing_since: SqlTimestamp"
;
-- stop_org
update orgs
set stopped_at = coalesce(stopped_at, clock_timestamp()),
stopped_by = case when stopped_at is null or $3::text is not null then $2 else stopped_by end,
stopped_reason = coalesce($3, stopped_reason)
where name = $1
and (stopped_at is null or stopped_by <> $2
or $3::text is not null and stopped_reason is distinct from $3)
returning stopped_by as "stopped_by!", stopped_reason
;
-- stop_rewound_org
update orgs
set stopped_at = coalesce(stopped_at, clock_timestamp()), stopped_by = $2, stopped_reason = $3,
rewound_at = coalesce(rewound_at, clock_timestamp()), intents_from = clock_timestamp() + make_interval(secs => $4),
-- All facts are asked again.
policy_epoch = policy_epoch + 1
where name = $1
;
-- stop_waiting
delete from waiters w
using unnest($2::uuid[], $3::int[]) as woken (purge_id, slice_no)
where (w.purge_id, w.slice_no) = (woken.purge_id, woken.slice_no) and w.org = $1
and exists (select from released where org = $1 and conversation_id = w.conversation_id)
returning w.purge_id, w.slice_no, w.position, w.conversation_id
;
-- store_parts
insert into job_parts (job_id, purge_id, slice_no, positions, carried_before, facts_at, facts_epoch, looked)
select $1, purge_id, slice_no, positions::smallint[], carried_before::smallint[], facts_at, facts_epoch,
looked::smallint[]
from unnest($2::uuid[], $3::int[], $4::text[], $5::text[], $6::timestamptz[], $7::bigint[], $8::text[])
as new (purge_id, slice_no, positions, carried_before, facts_at, facts_epoch, looked)
;
-- survey_live
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
where o.name = $1
;
-- survey_open
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
) drawn
;
-- survey_session
select current_setting('synchronous_commit') as "durability!"
;
-- take_permit
update limiters
set arrival_at = $2, calls = $3, called_at = greatest(called_at, $4), broken_until = $5, is_probing = $6
where org = $1
;
-- take_permit_by_rules
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
where name = $1
;
-- take_turn
update purges set turn_at = clock_timestamp() where id = any($1)
;
-- tell_of_work
select set_config('synchronous_commit', 'off', true), pg_notify($1, told)
from unnest($2::text[]) as new (told)
;
-- too_late_for
select distinct conversation_id as "conversation_id!"
from hold_conversations_and_fate
where hold_id = $1 and ($2::text[] is null or org = any($2)) and is_too_late
order by 1
;
-- traceparents
select purge_id as "purge!", payload->>'traceparent' as traceparent
from events
where purge_id = any($1) and event_no = 1
;
-- tx_now
select clock_timestamp() as "now!: SqlTimestamp"
;
-- unblock_org
update orgs
set blocked_call = null, blocked_code = null, blocked_detail = null, blocked_at = null, probe_at = null,
conflicts_since = case when $3 then clock_timestamp() else conflicts_since end
where name = $1 and blocked_call = $2
;
-- unload_hold
delete from holds where id = $1 and not active and released_at is null
;
-- unload_hold_conversations
delete from hold_conversations where hold_id = $1
;
-- use_probe
update orgs set probe_at = clock_timestamp() + make_interval(secs => $2)
where name = $1 and probe_at <= clock_timestamp()
;
-- verify_job
update jobs
set state = 'verifying', ended_at = $2, run_at = $2::timestamptz + make_interval(secs => $6), lease_until = null, tries = 0, blind = 0,
upstream_succeeded = $5, upstream_state = coalesce($3, upstream_state),
records_processed = coalesce($4, records_processed)
where id = $1 and state = 'submitted'
;
-- wait_again
update jobs
set state = 'waiting', recheck = true, run_at = clock_timestamp(), lease_until = null,
call_before = null, tries = 0, blind = 0, open = 0, ids = $2, size = cardinality($2::uuid[])
where id = $1 and state = 'in_doubt'
;
-- wait_for_ids
insert into waiters (org, conversation_id, purge_id, slice_no, position)
select $1, id, purge_id, slice_no, position
from unnest($2::uuid[], $3::uuid[], $4::int[], $5::smallint[]) as new (id, purge_id, slice_no, position)
;
-- wait_for_job
update slices set read_again_at = clock_timestamp() + interval '1 minute' where purge_id = $1 and slice_no = $2
;
-- wait_no_more
delete from waiters w
using unnest($1::uuid[], $2::int[]) as swept (purge_id, slice_no)
where (w.purge_id, w.slice_no) = (swept.purge_id, swept.slice_no)
;
-- wait_no_more_for_ids
delete from waiters w
using unnest($2::uuid[], $3::uuid[], $4::int[]) as known (id, purge_id, slice_no)
where w.org = $1 and (w.conversation_id, w.purge_id, w.slice_no) = (known.id, known.purge_id, known.slice_no)
;
-- waiting_deliveries
select count(*) as "waiting!"
from (select from deliveries where state = 'pending' and endpoint = $2 limit $1) waiting
;
-- waiting_jobs_with
select id, ids as "ids!", recheck or rechecked or lost_since is not null as "is_doubtful!"
from jobs j
where org = $1 and state = 'waiting'
and exists (select from job_parts where job_id = j.id and purge_id = any($2))
order by id
for update
;
-- want_recheck
update jobs set recheck = true where id = $1
;
-- write_counts
update purges p
set drawable = p.drawable + d.drawable, pending = p.pending + d.pending, eligible = p.eligible + d.eligible,
submitted = p.submitted + d.submitted, purged = p.purged + d.purged,
already_purged = p.already_purged + d.already_purged, on_hold = p.on_hold + d.on_hold,
retained = p.retained + d.retained, not_found = p.not_found + d.not_found, active = p.active + d.active,
failed = p.failed + d.failed, canceled = p.canceled + d.canceled,
would_purge = p.would_purge + d.would_purge, ask_at = next_ask(p.id, p.ask_turn_at), swept = false,
rate_at = d.rate_at, rate_settled = d.rate_settled, rate_from_at = d.rate_from_at,
rate_from_settled = d.rate_from_settled
from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
$8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
$14::bigint[], $15::timestamptz[], $16::bigint[], $17::timestamptz[], $18::bigint[])
as d (id, drawable, pending, eligible, submitted, purged, already_purged, on_hold, retained, not_found,
active, failed, canceled, would_purge, rate_at, rate_settled, rate_from_at, rate_from_settled)
where p.id = d.id
returning case when p.pending + p.eligible + p.submitted = 0 and p.finished_at is null then p.id end
;
-- write_decisions
insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, job_id, code,
detail, kept_until, decided_at)
select new.purge_id, new.slice_no, p.run, new.positions::smallint[], new.from_outcome, new.to_outcome,
$9, $10, new.code, new.detail, new.kept_until::timestamptz[], $11
from unnest($1::uuid[], $2::int[], $3::text[], $4::smallint[], $5::smallint[], $6::text[], $7::text[],
$8::text[])
with ordinality as new (purge_id, slice_no, positions, from_outcome, to_outcome, code, detail,
kept_until, n)
join purges p on p.id = new.purge_id
order by new.n
;
-- write_doubt
insert into findings as f (org, conversation_id, kept_at, carried_at)
select $1, new.id, now.at, now.at
from unnest($2::uuid[]) as new (id)
cross join (select clock_timestamp() as at) now
order by new.id
on conflict (org, conversation_id) do update
set kept_at = greatest(f.kept_at, excluded.kept_at), carried_at = greatest(f.carried_at, excluded.carried_at)
;
-- write_event
insert into events (id, type, org, job_id, hold_id, actor, request_id, payload, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
;
-- write_findings
insert into findings as f (org, conversation_id, gone_at, kept_at, carried_at)
select p.org, new.id, max(case when new.is_gone then $6::timestamptz end),
max(case when new.is_kept then $6 end), max(case when new.is_carried then $6 end)
from unnest($1::uuid[], $2::uuid[], $3::bool[], $4::bool[], $5::bool[])
as new (purge_id, id, is_gone, is_kept, is_carried)
join purges p on p.id = new.purge_id
-- What stands against deleting an id matters to other purges that name it, and to nobody else.
where not new.is_kept
or exists (select from conversations c where c.conversation_id = new.id and c.purge_id <> new.purge_id)
group by p.org, new.id
order by p.org, new.id
on conflict (org, conversation_id) do update
set gone_at = greatest(f.gone_at, excluded.gone_at), kept_at = greatest(f.kept_at, excluded.kept_at),
carried_at = greatest(f.carried_at, excluded.carried_at)
;
-- write_key_uses
update api_keys k
set last_used_at = u.at
from unnest($1::uuid[], $2::timestamptz[]) as u (id, at)
where k.id = u.id and (k.last_used_at is null or k.last_used_at < u.at)
;
-- write_purge_events
with locked as (
select id from purges where id = any($2) order by id for no key update
), counted as (
update purges p set event_no = event_no + 1 from locked where p.id = locked.id
returning p.id, p.org, p.event_no
)
insert into events (id, type, org, purge_id, event_no, job_id, actor, request_id, payload, at)
select new.id, new.type, counted.org, counted.id, counted.event_no, new.job_id, $6, $7, new.payload,
clock_timestamp()
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::jsonb[])
as new (id, purge_id, type, job_id, payload)
join counted on counted.id = new.purge_id
returning id, org
;
-- write_slices
update slices s
set outcomes = new.outcomes, state = new.state::slice_state, pending = new.pending,
drawable = new.drawable, facts_at = new.facts_at, facts_epoch = new.facts_epoch,
absent_at = new.absent_at,
run_at = coalesce(new.run_at, s.run_at), tries = new.tries, fruitless = new.fruitless,
epoch = new.epoch, silent = new.silent::smallint[], silent_since = new.silent_since::timestamptz[],
asked = case when new.state = 'validating' then least(s.asked, new.pending) else 0 end,
lease_until = case when new.state = 'validating' then s.lease_until end,
panics = case when $16 then 0 else s.panics end,
-- What is written could be read.
read_again_at = null, unreadable_why = null, unreadable_tries = 0, parked_at = null
from unnest(
$1::uuid[], $2::int[], $3::bytea[], $4::text[], $5::smallint[], $6::smallint[], $7::timestamptz[],
$8::bigint[], $9::timestamptz[], $10::timestamptz[], $11::smallint[], $12::smallint[], $13::bigint[],
$14::text[], $15::text[]
) as new (purge_id, slice_no, outcomes, state, pending, drawable, facts_at, facts_epoch, absent_at, run_at,
tries, fruitless, epoch, silent, silent_since)
join slices old on (old.purge_id, old.slice_no) = (new.purge_id, new.slice_no)
where (s.purge_id, s.slice_no) = (new.purge_id, new.slice_no)
returning s.purge_id, s.drawable - old.drawable as "drawable!"
;
