-- Steering and repeats: orgs that an operator stopped, purges that rest or are taken up again, keys of repeated requests.

-- An operator stopped it: nothing is begun, what runs upstream is followed to its end.
alter table orgs
    add column stopped_at timestamptz,
    add column stopped_by text,
    add column stopped_reason text,
    add constraint stopped_tells_by_whom check (
        (stopped_at is null) = (stopped_by is null) and (stopped_reason is null or stopped_at is not null)
    );

-- While a retry takes up failed conversations: the first slice that was not looked through yet. Nothing ends the purge
-- meanwhile.
alter table purges
    add column retry_from int,
    add constraint a_retry_is_under_way check (retry_from is null or finished_at is null);

-- What may be asked and drawn: those that rest must not be stepped over at every look, however many they are.
drop index purges_to_validate;
create index purges_to_ask on purges (org, turn_at) where pending > 0 and state in ('queued', 'running');
drop index purges_to_draw;
create index purges_to_draw on purges (org, turn_at) where drawable > 0 and state in ('queued', 'running');

create index purges_canceling on purges (org) where state = 'canceling';
create index purges_to_retry on purges (org) where retry_from is not null;
create index waiters_by_purge on waiters (purge_id);

-- Purges of which some more slices are to be turned over. What an overdue job of a canceled one still has reserved waits
-- for that job, and is nothing to sweep.
create view purges_to_sweep as
    select p.org, p.id, p.retry_from
    from purges p
    where p.state = 'canceling' and p.pending + p.eligible > 0
      and (
          p.pending > 0
          or p.drawable > 0
          or exists (select from waiters w where w.purge_id = p.id)
          or exists (
              select from jobs j
              join job_parts jp on jp.job_id = j.id
              where j.org = p.org and j.state = 'waiting' and jp.purge_id = p.id
          )
      )
    union all
    select p.org, p.id, p.retry_from
    from purges p
    where p.retry_from is not null and p.state <> 'canceling';

-- Which request of a caller made which purge, so that its repeat makes none.
create table idempotency_keys (
    key_id uuid not null references api_keys,
    key text not null,
    -- Of ids, fields and query: another body under the same key is refused.
    fingerprint bytea not null,
    purge_id uuid not null references purges,
    created_at timestamptz not null,
    primary key (key_id, key)
);

create index idempotency_keys_by_age on idempotency_keys (created_at);
