-- What admins ask: purges by time and by requester, holds that are in force, who did what to a purge or an org and why, and
-- whether anybody begins anything at all.

-- GET /purges by the time of acceptance and by requester. Rows are only added, so that a purge's own row stays in few indexes.
create table purge_requests (
    org text not null,
    created_at timestamptz not null,
    purge_id uuid not null,
    requested_by text not null,
    primary key (org, created_at, purge_id)
);

create index purge_requests_by_requester on purge_requests (org, requested_by, created_at, purge_id);

insert into purge_requests (org, created_at, purge_id, requested_by)
select org, created_at, id, requested_by from purges;

create function list_requests() returns trigger language plpgsql as $$
begin
    insert into purge_requests (org, created_at, purge_id, requested_by)
    select org, created_at, id, requested_by from accepted;
    return null;
end
$$;

-- Whoever accepts a purge, of whatever version, has it found.
create trigger purges_are_found_by_request after insert on purges referencing new table as accepted
    for each statement execute function list_requests();

-- GET /purges by the time of their end. The end stands in conditions of other indexes already, so no update stops being
-- heap-only for its sake.
create index purges_by_end on purges (org, finished_at, id) where finished_at is not null;

-- The last act of each kind that somebody did to a purge: it stays when another act has taken it back. Before the first one of
-- this version nothing is known; the events are the whole history.
create table purge_acts (
    purge_id uuid not null references purges,
    act text not null,
    -- The name of the key, or `engine`.
    actor text not null,
    -- Why, where it was said.
    reason text,
    at timestamptz not null,
    primary key (purge_id, act)
);

-- The same of an org: who stopped it last, and who had it go on.
create table org_acts (
    org text not null references orgs,
    act text not null,
    actor text not null,
    reason text,
    at timestamptz not null,
    primary key (org, act)
);

insert into org_acts (org, act, actor, reason, at)
select name, 'stop', stopped_by, stopped_reason, stopped_at from orgs where stopped_at is not null;

alter table holds
    -- Why it was made, and why it was released, where that was said.
    add column reason text,
    add column release_reason text,
    add constraint a_release_has_its_reason check (release_reason is null or released_at is not null);

-- GET /holds?active=: a hold that was released is told apart from one in force by the index.
alter table hold_orgs add column active boolean not null default true;

update hold_orgs ho set active = false
from holds h
where h.id = ho.hold_id and not h.active;

create index hold_orgs_by_active on hold_orgs (org, active, hold_id);

create function note_release() returns trigger language plpgsql as $$
begin
    update hold_orgs set active = false where org = any(new.orgs) and hold_id = new.id;
    return null;
end
$$;

-- Whoever releases a hold notes it.
create trigger released_holds_are_noted after update of active on holds
    for each row when (old.active and not new.active) execute function note_release();

-- The processes that work for an org, each written again every few seconds while it lives.
create table org_workers (
    org text not null,
    worker uuid not null,
    -- It begins nothing: `engine.paused`.
    is_paused boolean not null,
    since timestamptz not null,
    -- It is taken for dead after that.
    seen_until timestamptz not null,
    primary key (org, worker)
);

-- The one definition of this word: an org for which every process that lives begins nothing, and since when.
create view paused_orgs as
    select org, max(since) as since
    from org_workers
    where seen_until > clock_timestamp()
    group by org
    having bool_and(is_paused);

-- The conversations that holds name, and the one definition of what a hold came too late for: it is gone, or a job that may
-- still delete it has it; a job past its deadline may go on, and its last look is still to come, whatever its conversations
-- count as. Each is looked up by its key.
create view hold_conversations_and_fate as
    select hc.hold_id, hc.org, hc.conversation_id, gone.at is not null or deleting.job is not null as is_too_late
    from hold_conversations hc
    left join lateral (
        select gone_at as at from findings
        where org = hc.org and conversation_id = hc.conversation_id and gone_at is not null
        limit 1
    ) gone on true
    left join lateral (
        select j.id as job from reservations r
        join jobs j on j.id = r.job_id
        where r.org = hc.org and r.conversation_id = hc.conversation_id and j.may_delete
        limit 1
    ) deleting on true;
