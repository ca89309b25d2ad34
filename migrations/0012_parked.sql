-- A slice that can't be read is set aside, so that it holds up no other one: it is read again a few times, then it is parked
-- until somebody has repaired it.
alter table slices
    -- When it is read again; null unless it is set aside.
    add column read_again_at timestamptz,
    -- What can't be read.
    add column unreadable_why text,
    -- How often in a row it could not be read.
    add column unreadable_tries smallint not null default 0,
    -- Since when it waits for a repair.
    add column parked_at timestamptz,
    add constraint set_aside_tells_why check (
        (read_again_at is null) = (unreadable_why is null)
        and (read_again_at is null) = (unreadable_tries = 0)
        and (parked_at is null or read_again_at is not null)
        -- Nothing of it is drawn or asked about.
        and (read_again_at is null or drawable = 0 and lease_until is null)
    );

-- The one definition of these words.
create view slices_set_aside as
    select purge_id, slice_no, org, cardinality(ids) as conversations, unreadable_why, read_again_at, parked_at
    from slices
    where read_again_at is not null;

create index slices_by_read_again on slices (org, read_again_at) where read_again_at is not null;
create index slices_set_aside_of on slices (purge_id, slice_no) where read_again_at is not null;
create index slices_parked on slices (org) where parked_at is not null;

create or replace view slices_to_ask as
    select purge_id, slice_no, org, pending, run_at
    from slices
    where state = 'queued' and read_again_at is null;

drop index slices_to_validate;
create index slices_to_validate on slices (purge_id, run_at, slice_no) where state = 'queued' and read_again_at is null;

-- Of a canceled purge everything is swept that can be: what is left is set aside, or a job has it. Any change of its counts takes
-- that back.
alter table purges add column swept boolean not null default false;

create or replace view canceled_to_sweep as
    select id, org, pending + eligible as open
    from purges
    where state = 'canceling' and pending + eligible > 0 and not swept;

drop index purges_by_sweep;
create index purges_by_sweep on purges (org, (pending + eligible), id)
    where state = 'canceling' and pending + eligible > 0 and not swept;
