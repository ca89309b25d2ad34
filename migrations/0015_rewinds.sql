-- Which server this database is on, and how far its log had come: a database that was restored, or whose standby was
-- promoted without its last commits, has forgotten intents whose calls have left and holds that were answered.

create table database_history (
    is_only boolean primary key default true check (is_only),
    -- Of the server's files: every server that was made anew has another.
    system_identifier bigint not null,
    -- Counts promotions and recoveries to a point in time.
    timeline bigint not null,
    -- How far its log had come, in bytes.
    position bigint not null,
    noted_at timestamptz not null
);

-- Every time that it did not fit.
create table rewinds (
    id uuid primary key,
    kind text not null,
    -- When it was last in order: commits since then may be missing.
    missing_since timestamptz,
    found_at timestamptz not null,
    -- What was known, and what was found.
    details jsonb not null
);

-- Where the database stands at this moment. What is committed lies before the position.
create view ground as
select (pg_control_system()).system_identifier as system,
       ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint as timeline,
       (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint as position;

alter table orgs
    -- Stopped by the service itself, since the database went back in time.
    add column rewound_at timestamptz,
    -- No intent is committed before: a submit that was forgotten has its window.
    add column intents_from timestamptz,
    add constraint rewound_is_stopped check (rewound_at is null or stopped_at is not null);

create trigger rewinds_are_append_only before update or delete on rewinds
    for each statement execute function refuse_change();
create trigger rewinds_are_never_emptied before truncate on rewinds
    for each statement execute function refuse_change();
