-- Who waits for an id that a job lets go is woken afterwards, a few slices a transaction: an id that tens of thousands of
-- purges wait for must not hold the org's lock for seconds.
--
-- An id that some conversation waits for and that no job has any more. None of them is reserved: whoever reserves one takes
-- it out, and those who are not woken yet wait for the new job.
create table released (
    org text not null,
    conversation_id uuid not null,
    primary key (org, conversation_id)
);

-- What waits of a slice is woken together.
drop index waiters_by_purge;
create index waiters_by_slice on waiters (purge_id, slice_no);

-- Validation has a line of its own. `ask_turn_at` is a purge's turn: when it was accepted, then when some of its ids were last
-- asked. `ask_at` is the moment from which it stands in line: its turn, or when the first of its queued slices is due, whichever
-- is later; null while none is queued. Purges that are due are thus the first of the index, in the order of their turn, however
-- many others there are.
alter table purges
    add column ask_turn_at timestamptz,
    add column ask_at timestamptz;

-- How many ids of the slice are being asked at present: a question may take a part of a slice.
alter table slices add column asked smallint not null default 0;

update slices set asked = pending where state = 'validating';

update purges set ask_turn_at = created_at;

alter table purges
    alter column ask_turn_at set not null,
    alter column ask_turn_at set default clock_timestamp();

alter table slices
    add constraint asked_while_validating check (asked between 0 and pending and (asked = 0 or state = 'validating'));

-- What each of these words means stands here alone; survey, claims and packing read them.

-- Slices that a question may take. Due: `run_at` has come.
create view slices_to_ask as
    select purge_id, slice_no, org, pending, run_at
    from slices
    where state = 'queued';

-- The moment from which a purge with this turn stands in line.
create function next_ask(purge uuid, turn timestamptz) returns timestamptz stable language sql as $$
    select greatest(turn, s.run_at) from slices_to_ask s where s.purge_id = purge order by s.run_at limit 1
$$;

update purges set ask_at = next_ask(id, ask_turn_at) where finished_at is null;

-- Purges that may be asked about. Due: `ask_at` has come.
create view purges_askable as
    select id, org, state, dry_run, ask_at
    from purges
    where ask_at is not null and state in ('queued', 'running');

-- Those whose conversations slots need.
create view purges_asked_for_slots as
    select id, org, ask_at from purges_askable where not dry_run;

-- Those that wait for no slot: never asked about, or dry runs.
create view purges_asked_first as
    select id, org, ask_at from purges_askable where state = 'queued' or dry_run;

-- Purges with something that a job could take.
create view purges_drawable as
    select id, org, turn_at, drawable
    from purges
    where drawable > 0 and state in ('queued', 'running') and not dry_run;

drop index purges_to_ask;
drop index purges_never_asked;
drop index purges_dry;
drop index purges_to_draw;
drop index purges_canceling;
drop index purges_to_retry;

create index purges_by_ask_for_slots on purges (org, ask_at, id)
    where ask_at is not null and state in ('queued', 'running') and not dry_run;
create index purges_by_ask_first on purges (org, ask_at, id)
    where ask_at is not null and state in ('queued', 'running') and (state = 'queued' or dry_run);
create index purges_by_draw on purges (org, turn_at, id)
    where drawable > 0 and state in ('queued', 'running') and not dry_run;

-- What is swept next: of the canceled ones those with the least left, of the retried ones the smallest.
drop view purges_to_sweep;

create view canceled_to_sweep as
    select id, org, pending + eligible as open
    from purges
    where state = 'canceling' and pending + eligible > 0;

create view retried_to_sweep as
    select id, org, total, retry_from
    from purges
    where retry_from is not null and state <> 'canceling';

create index purges_by_sweep on purges (org, (pending + eligible), id)
    where state = 'canceling' and pending + eligible > 0;
create index purges_by_retry on purges (org, total, id) where retry_from is not null and state <> 'canceling';

-- Positions that had no answer though each was asked about alone, and since when. They are asked about last, each alone, so
-- that they make no other one's call fail; after engine.job_deadline they end.
alter table slices
    add column silent smallint[],
    add column silent_since timestamptz[],
    add constraint silence_has_a_beginning check (
        (silent is null) = (silent_since is null)
        and (silent is null or cardinality(silent) > 0 and cardinality(silent) = cardinality(silent_since))
    );
