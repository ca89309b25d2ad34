-- What a job wants next, told once, and what the purges of an org have found out about an id, kept where it is read.

create type job_step as enum ('intend', 'recheck', 'poll', 'overdue', 'reread', 'verify', 'late');

alter table jobs
    -- Whether upstream called it completed; null while it has not ended it.
    add column upstream_succeeded boolean,
    -- When the last intent was committed: the job at upstream, if there is one, began no earlier.
    add column intended_at timestamptz,
    -- When the present poll or look was claimed: no later than its call.
    add column claimed_at timestamptz,
    -- Submits without an answer in a row; a definite no between them does not count.
    add column losses smallint not null default 0;

update jobs set upstream_succeeded = lower(upstream_state) = 'completed' where ended_at is not null;
update jobs set intended_at = submitted_at where submitted_at is not null;
update jobs set losses = 1 where lost_since is not null;

-- The one definition of each of these; every statement that asks reads the column.
alter table jobs
    -- What is done about it next; null while its submit is under way and when it is done.
    add column next_step job_step generated always as (
        case
            when state = 'waiting' and recheck then 'recheck'::job_step
            when state = 'waiting' then 'intend'
            when state = 'in_doubt' then 'reread'
            when state = 'submitted' and overdue_since is not null and open > 0 then 'overdue'
            when state = 'submitted' then 'poll'
            when state = 'verifying' and open > 0 then 'verify'
            when state = 'verifying' then 'late'
        end
    ) stored,
    -- When that is due: not while somebody is at it.
    add column due_at timestamptz not null generated always as (greatest(run_at, coalesce(lease_until, run_at))) stored,
    -- Upstream may be running it.
    add column takes_slot boolean not null generated always as (state in ('submitting', 'in_doubt', 'submitted')) stored,
    -- It may delete what it carries, or may have.
    add column may_delete boolean not null generated always as (
        state in ('submitting', 'in_doubt', 'submitted', 'verifying')
    ) stored;

drop index jobs_alive;
create index jobs_alive on jobs (org, next_step, due_at) where state <> 'done';

-- The conversations of which the present round of looks has an answer, and which stay in the job by it: the next look is
-- about the others.
alter table job_parts add column looked smallint[] not null default '{}';

-- What the purges of an org have found out about an id. Each is asked for at intents, by all other purges that name the id:
-- however many there are, one row answers.
create table findings (
    org text not null,
    conversation_id uuid not null,
    -- When it was last seen to be gone.
    gone_at timestamptz,
    -- When something was last found that stands against deleting it: a hold, its age, that it goes on. Written where
    -- another purge names it.
    kept_at timestamptz,
    -- When a job that had carried it last let it go without having seen it gone.
    carried_at timestamptz,
    primary key (org, conversation_id),
    constraint a_finding_says_something check (num_nonnulls(gone_at, kept_at, carried_at) > 0)
);

insert into findings (org, conversation_id, gone_at, carried_at)
select seen.org, seen.id, max(seen.gone_at), max(seen.carried_at)
from (
    select s.org, s.ids[at.n + 1] as id,
           case
               when get_byte(s.outcomes, at.n) & 15 in (3, 4) then coalesce(s.purged_at, clock_timestamp())
               when exists (
                   select from decisions d
                   where d.purge_id = s.purge_id and d.slice_no = s.slice_no and d.code = 'gone_late'
                     and at.n::smallint = any(d.positions)
               ) then coalesce(s.purged_at, clock_timestamp())
           end as gone_at,
           case
               when get_byte(s.outcomes, at.n) & 16 > 0 and get_byte(s.outcomes, at.n) & 15 not in (2, 3)
               then clock_timestamp()
           end as carried_at
    from slices s
    cross join lateral generate_series(0, cardinality(s.ids) - 1) as at (n)
    where get_byte(s.outcomes, at.n) & 31 not in (0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 18)
) seen
where num_nonnulls(seen.gone_at, seen.carried_at) > 0
group by seen.org, seen.id;

-- What came too late for a hold is looked up when it is read, too.
create index hold_conversations_by_hold on hold_conversations (hold_id);

-- It stands in the findings now.
alter table slices drop column purged_at;

-- Why no token is to be had for an org, told by the worker that asked for one; gone with the next token.
create table login_troubles (
    org text primary key references orgs,
    since timestamptz not null,
    detail text not null,
    next_try_at timestamptz not null
);
