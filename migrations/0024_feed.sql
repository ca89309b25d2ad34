-- The feed: a number for every event, in the order in which they were committed. It is given after the commit, by one
-- process at a time: one taken before would let a reader pass over an event whose transaction takes long.

-- Events that have no number yet. Whoever writes an event, of whatever version, has it stand here too.
create table events_unstamped (
    -- In the order in which they were written: whoever saw an event before he wrote his has a higher one, whatever the
    -- clocks say. One that is committed late has a low one, and is found all the same.
    place bigint generated always as identity primary key,
    event_id uuid not null unique
);

create function note_unstamped_events() returns trigger language plpgsql as $$
begin
    insert into events_unstamped (event_id) select id from written;
    return null;
end
$$;

create trigger events_are_stamped_later after insert on events referencing new table as written
    for each statement execute function note_unstamped_events();

-- The numbers: from 1, without gaps, and never changed. Readers see what stands here, and nothing else.
create table event_numbers (
    no bigint primary key check (no > 0),
    event_id uuid not null unique references events,
    -- That of the event: a limited key reads by it.
    org text,
    -- When it was given, after the event's commit: never earlier than that of a lower number. Where the event is from
    -- before this table: the latest time of the events up to it.
    stamped_at timestamptz not null
);

-- Only this index has the order of `no + 0`: asked for that, the planner can't pass over all numbers in search of those of an
-- org that has few.
create index event_numbers_by_org on event_numbers (org, (no + 0));

create trigger event_numbers_are_append_only before update or delete on event_numbers
    for each row execute function refuse_change();
create trigger event_numbers_are_never_emptied before truncate on event_numbers
    for each statement execute function refuse_change();

-- Events from before this table, which are numbered first, a few a transaction: all up to this id have a number. The row
-- goes when all have one.
create table events_backlog (
    is_only boolean primary key default true check (is_only),
    after uuid not null
);

insert into events_backlog (after) select '00000000-0000-0000-0000-000000000000' where exists (select from events);
