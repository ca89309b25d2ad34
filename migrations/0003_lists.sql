-- Lists and reports: what finds purges, and what the API tells of orgs that other processes work for.
--
-- A purge's row changes with every answer of Genesys, and an update that touches an indexed column writes an entry into
-- every index of the row. So there is one index for all lists by org and state; what never changes is found by a table
-- beside it, whose rows are only added.

-- GET /purges by org, by state, and by both: newest first within each pair; also the number of open purges of an org.
-- All three columns stood in other indexes or their conditions already, so no update stops being heap-only for its sake;
-- one that changes pending or drawable costs one entry more: 0.02 to 0.04 ms and 100 bytes of log, once a step of 500.
create index purges_by_state on purges (org, state, id);

-- GET /purges by reference and by label. A tag is `:reference`, or `key:value` of a label; no key is empty or has a colon.
create table purge_tags (
    tag text not null,
    purge_id uuid not null references purges,
    primary key (tag, purge_id)
);

insert into purge_tags (tag, purge_id)
select ':' || reference, id from purges where reference is not null
union all
select label.key || ':' || label.value, p.id from purges p cross join jsonb_each_text(p.labels) label;

-- How fast a purge went in the last minutes: how many of its conversations were final at two moments, see
-- domain::progress. Written with the counts; in no index.
alter table purges
    add column rate_at timestamptz,
    add column rate_settled bigint,
    add column rate_from_at timestamptz,
    add column rate_from_settled bigint,
    add constraint a_rate_has_both_moments check (
        num_nulls(rate_at, rate_settled, rate_from_at, rate_from_settled) in (0, 4)
    );

-- The calls of the last minute, one number a second; see domain::recent. In the row that a permit locks and writes anyway.
alter table limiters
    add column calls smallint[] not null default '{}',
    add column called_at timestamptz;

-- The last token that a worker got for an org; the token itself is never stored.
create table tokens (
    org text primary key references orgs,
    got_at timestamptz not null,
    expires_at timestamptz not null
);
