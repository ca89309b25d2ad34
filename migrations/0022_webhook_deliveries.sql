-- Deliveries that callers see and have sent again: whose they are, what finds them, and a log of their attempts.

alter table deliveries
    -- The org of the event; null where it is of none. A trigger writes it.
    add column org text,
    -- Attempts up to this number don't count for the schedule, which begins anew where a delivery is sent again. One more
    -- than were recorded: it was asked for while that attempt was under way.
    add column schedule_from int not null default 0;

update deliveries d set org = e.org
from events e
where e.id = d.event_id and e.org is not null;

-- GET /webhook-deliveries: newest first of each org, or of each org and state. The second also finds what is dead since a
-- time.
create index deliveries_by_org on deliveries (org, created_at, id);
create index deliveries_by_state on deliveries (org, state, created_at, id);

-- Which purges a delivery tells of: that of its event, or all that the job of its event carried. Rows are only added.
create table purge_deliveries (
    purge_id uuid not null references purges,
    created_at timestamptz not null,
    delivery_id uuid not null references deliveries,
    primary key (purge_id, created_at, delivery_id)
);

insert into purge_deliveries (purge_id, created_at, delivery_id)
select e.purge_id, d.created_at, d.id
from deliveries d
join events e on e.id = d.event_id
where e.purge_id is not null
union
select p.purge_id, d.created_at, d.id
from deliveries d
join events e on e.id = d.event_id
join job_parts p on p.job_id = e.job_id
where e.purge_id is null;

create function note_org_of_delivery() returns trigger language plpgsql as $$
begin
    select org into new.org from events where id = new.event_id;
    return new;
end
$$;

create function list_delivery() returns trigger language plpgsql as $$
begin
    insert into purge_deliveries (purge_id, created_at, delivery_id)
    select e.purge_id, new.created_at, new.id
    from events e
    where e.id = new.event_id and e.purge_id is not null
    union
    select p.purge_id, new.created_at, new.id
    from events e
    join job_parts p on p.job_id = e.job_id
    where e.id = new.event_id and e.purge_id is null;
    return null;
end
$$;

-- Whoever writes a delivery, of whatever version, has it found.
create trigger deliveries_know_their_org before insert on deliveries
    for each row execute function note_org_of_delivery();
create trigger deliveries_are_listed after insert on deliveries
    for each row execute function list_delivery();

-- What became of each attempt. Append-only, and kept as long as the delivery, with which alone a row may go.
create table delivery_attempts (
    delivery_id uuid not null references deliveries on delete cascade,
    -- Counts within the delivery, from 1.
    attempt int not null,
    -- When it began.
    at timestamptz not null,
    -- Null: there was no answer.
    status int,
    -- From the begin of the connection to the last byte that was read.
    latency_seconds double precision not null,
    -- How the answer's body begins, secrets struck out.
    response text,
    -- Why it failed; null: the receiver took it.
    error text,
    primary key (delivery_id, attempt),
    check (error is not null or status is not null)
);

create trigger delivery_attempts_are_append_only before update or delete on delivery_attempts
    for each row when (pg_trigger_depth() = 0) execute function refuse_change();
create trigger delivery_attempts_are_never_emptied before truncate on delivery_attempts
    for each statement execute function refuse_change();
