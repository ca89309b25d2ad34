-- The core: organizations, callers, purges and their slices, jobs, decisions, holds, events, deliveries.
--
-- Every state is an enum, and a constraint ties it to the columns that it needs, so that a row can't say two things.

create type purge_state as enum (
    'awaiting_approval', 'queued', 'running', 'paused', 'canceling', 'completed', 'failed', 'canceled'
);

create type slice_state as enum ('queued', 'validating', 'ready', 'settled');

create type job_state as enum ('waiting', 'submitting', 'in_doubt', 'submitted', 'verifying', 'done');

create type job_result as enum ('completed', 'failed', 'rejected', 'timed_out', 'lost', 'withdrawn');

create type delivery_state as enum ('pending', 'delivered', 'dead');

-- The values that are made once, at the first start, and must then stay: the webhook secret, for one.
create table service_secrets (
    name text primary key,
    value text not null,
    created_at timestamptz not null default clock_timestamp()
);

create table api_keys (
    id uuid primary key,
    name text not null,
    -- The first characters of the key: enough for a person to tell keys apart.
    prefix text not null,
    sha256 bytea not null unique,
    scopes text[] not null check (cardinality(scopes) > 0),
    -- Null: every org.
    orgs text[],
    created_at timestamptz not null default clock_timestamp(),
    revoked_at timestamptz
);

create table orgs (
    name text primary key,
    -- Raised by every change of the rules below, so that facts know by which rules they were judged.
    policy_epoch bigint not null default 1,
    policy jsonb not null,
    blocked_call text,
    blocked_code text,
    blocked_detail text,
    blocked_at timestamptz,
    -- While blocked: when the next try is let through.
    probe_at timestamptz,
    check (num_nulls(blocked_call, blocked_code, blocked_detail, blocked_at, probe_at) in (0, 5))
);

-- Apart from the org's row, so that taking a permit never waits for packing.
create table limiters (
    org text primary key references orgs,
    -- The theoretical arrival time of the generic cell rate algorithm.
    arrival_at timestamptz not null default clock_timestamp(),
    -- Upstream asked for silence until then.
    closed_until timestamptz not null default clock_timestamp(),
    -- 429s in a row, and the call that met the last one.
    refusals smallint not null default 0,
    refused_call text,
    -- The smallest budget that upstream's headers told.
    allowed_per_minute int
);

-- What was observed of an org's upstream jobs; see domain::pace. Apart from the org's row for the same reason.
create table paces (
    org text primary key references orgs,
    expected_job_seconds double precision,
    running_seconds double precision
);

create table purges (
    id uuid primary key,
    org text not null references orgs,
    state purge_state not null,
    run int not null default 1,
    reason text,
    reference text,
    labels jsonb not null default '{}',
    dry_run boolean not null,
    requested_by text not null,
    request_id text not null,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    -- Its place in the row of purges that wait to be drawn from.
    turn_at timestamptz not null,
    event_no int not null default 0,
    duplicates bigint not null,
    total bigint not null,
    -- How many of its eligible conversations a job could take now.
    drawable bigint not null default 0,
    pending bigint not null,
    eligible bigint not null default 0,
    submitted bigint not null default 0,
    purged bigint not null default 0,
    already_purged bigint not null default 0,
    on_hold bigint not null default 0,
    retained bigint not null default 0,
    not_found bigint not null default 0,
    active bigint not null default 0,
    failed bigint not null default 0,
    canceled bigint not null default 0,
    would_purge bigint not null default 0,
    constraint counts_equal_total check (
        total = pending + eligible + submitted + purged + already_purged + on_hold + retained
              + not_found + active + failed + canceled + would_purge
    ),
    constraint no_count_is_negative check (
        least(pending, eligible, submitted, purged, already_purged, on_hold, retained, not_found, active,
              failed, canceled, would_purge, drawable, duplicates) >= 0
    ),
    constraint final_means_nothing_open check (
        (state in ('completed', 'failed', 'canceled')) = (finished_at is not null)
        and (finished_at is null or pending + eligible + submitted = 0)
    ),
    constraint a_dry_run_submits_nothing check (not dry_run or submitted + purged = 0),
    constraint completed_means_nothing_failed check (state <> 'completed' or failed = 0)
);

create index purges_to_validate on purges (org, turn_at) where pending > 0 and finished_at is null;
create index purges_never_asked on purges (org, turn_at) where state = 'queued';
create index purges_dry on purges (org, turn_at) where dry_run and pending > 0 and finished_at is null;
create index purges_to_draw on purges (org, turn_at) where drawable > 0 and finished_at is null;

create table slices (
    purge_id uuid not null references purges,
    slice_no int not null,
    org text not null,
    state slice_state not null default 'queued',
    ids uuid[] not null,
    -- One byte a conversation: the outcome below, marks above; see domain::outcome.
    outcomes bytea not null,
    -- Counted from the bytes by the one function that writes them.
    pending smallint not null,
    drawable smallint not null default 0,
    -- The oldest facts among the eligible, and the rules by which they were judged.
    facts_at timestamptz,
    facts_epoch bigint,
    -- The latest time at which an id of this slice was first missing from a whole answer.
    absent_at timestamptz,
    -- The latest time at which an id of this slice became purged.
    purged_at timestamptz,
    run_at timestamptz not null,
    -- Questions without an answer in a row; and those among them that failed for themselves, not for the whole org.
    tries smallint not null default 0,
    fruitless smallint not null default 0,
    lease_until timestamptz,
    epoch bigint not null default 0,
    primary key (purge_id, slice_no),
    constraint a_byte_for_each_id check (octet_length(outcomes) = cardinality(ids) and cardinality(ids) between 1 and 500),
    constraint state_fits_counts check (
        (state = 'validating') = (lease_until is not null)
        and (state <> 'queued' or pending > 0)
        and (state not in ('ready', 'settled') or pending = 0)
        and (state <> 'settled' or drawable = 0)
    )
);

create index slices_to_validate on slices (purge_id, run_at, slice_no) where state = 'queued';
create index slices_due on slices (org, run_at) where state = 'queued';
create index slices_leased on slices (org, lease_until) where state = 'validating';
create index slices_to_draw on slices (purge_id, slice_no) where drawable > 0;

-- Where is this conversation? Rows are only ever added.
create table conversations (
    conversation_id uuid not null,
    purge_id uuid not null,
    -- Its position in the purge; slice = ordinal / 500, position = ordinal % 500.
    ordinal int not null
);

create index conversations_by_id on conversations (conversation_id);

create table jobs (
    id uuid primary key,
    org text not null references orgs,
    state job_state not null default 'waiting',
    result job_result,
    -- The job from which a conflict or a refused body split this one off.
    parent uuid references jobs,
    -- Its ids are to be looked at afresh before the next intent: a conflict named nobody.
    recheck boolean not null default false,
    -- They were looked at afresh; if they conflict again they are halved.
    rechecked boolean not null default false,
    -- What the last intent named, until the job is done; then the digest of the body that was sent.
    ids uuid[],
    body_sha256 bytea,
    size int not null,
    -- How many of its conversations have an open fate since its last intent.
    open int not null default 0,
    upstream_job_id text,
    upstream_state text,
    records_processed bigint,
    -- Intents committed.
    attempt int not null default 0,
    -- Fruitless tries of the present step in a row, and 404s in a row among them.
    tries smallint not null default 0,
    misses smallint not null default 0,
    -- Looks without a whole answer, in a row.
    blind smallint not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    run_at timestamptz not null default clock_timestamp(),
    lease_until timestamptz,
    epoch bigint not null default 0,
    call_before timestamptz,
    submitted_at timestamptz,
    -- The last poll that found it still running.
    seen_running_at timestamptz,
    ended_at timestamptz,
    -- From its end to the look that saw its last id gone.
    lag_seconds double precision,
    -- The first of an unbroken row of submits without an answer.
    lost_since timestamptz,
    -- Past its deadline, but perhaps still running upstream: it keeps its slot and its ids.
    overdue_since timestamptz,
    finished_at timestamptz,
    last_error jsonb,
    constraint done_has_a_result check (
        (state = 'done') = (result is not null)
        and (state = 'done') = (finished_at is not null)
        and (state = 'done') = (ids is null)
    ),
    constraint submitted_is_known_upstream check (
        state not in ('submitted', 'verifying') or (upstream_job_id is not null and submitted_at is not null)
    ),
    constraint verifying_has_ended check (state <> 'verifying' or ended_at is not null),
    constraint submitting_has_a_deadline check (
        state <> 'submitting' or (call_before is not null and lease_until is not null)
    ),
    constraint in_doubt_was_lost check (state <> 'in_doubt' or lost_since is not null)
);

create index jobs_alive on jobs (org, state, run_at) where state <> 'done';
create index jobs_by_parent on jobs (parent) where parent is not null;
create index jobs_ended on jobs (org, ended_at desc) where ended_at is not null and submitted_at is not null;
create unique index jobs_by_upstream_id on jobs (org, upstream_job_id);

-- Which positions of which slices a job carries; kept when it is done.
create table job_parts (
    job_id uuid not null references jobs,
    purge_id uuid not null,
    slice_no int not null,
    positions smallint[] not null,
    -- Those among them that an earlier job of the purge had carried already.
    carried_before smallint[] not null default '{}',
    -- The facts by which these were drawn or, after a recheck, looked at last, and the rules that judged them.
    facts_at timestamptz,
    facts_epoch bigint,
    primary key (job_id, purge_id, slice_no)
);

create index job_parts_by_purge on job_parts (purge_id, job_id);

-- One row an id that an unfinished job carries: the key is what makes a second job impossible.
create table reservations (
    org text not null,
    conversation_id uuid not null,
    job_id uuid not null references jobs,
    primary key (org, conversation_id)
);

create index reservations_by_job on reservations (job_id);

-- Conversations of other purges that wait until a job lets an id go.
create table waiters (
    org text not null,
    conversation_id uuid not null,
    purge_id uuid not null,
    slice_no int not null,
    position smallint not null,
    primary key (org, conversation_id, purge_id)
);

-- Append-only: these positions of this slice went from this outcome to that one, by this step or job, for this reason.
create table decisions (
    id bigint generated always as identity primary key,
    purge_id uuid not null,
    slice_no int not null,
    run int not null,
    positions smallint[] not null check (cardinality(positions) > 0),
    from_outcome smallint not null,
    to_outcome smallint not null,
    step text not null,
    job_id uuid,
    code text,
    detail text,
    decided_at timestamptz not null
);

create index decisions_by_slice on decisions (purge_id, slice_no, id);

create table holds (
    id uuid primary key,
    matter text not null,
    -- A hold that is still being loaded protects nobody yet.
    active boolean not null default false,
    created_by text not null,
    request_id text not null,
    created_at timestamptz not null,
    released_at timestamptz,
    released_by text,
    conversations int not null,
    orgs text[] not null,
    check (released_at is null or not active)
);

create table hold_conversations (
    conversation_id uuid not null,
    org text not null,
    hold_id uuid not null references holds,
    primary key (conversation_id, org, hold_id)
);

create table events (
    id uuid primary key,
    type text not null,
    org text,
    purge_id uuid references purges,
    -- Counts within the purge, from 1.
    event_no int,
    job_id uuid,
    hold_id uuid,
    actor text not null,
    request_id text,
    payload jsonb not null,
    at timestamptz not null,
    check ((purge_id is null) = (event_no is null)),
    unique (purge_id, event_no)
);

create table deliveries (
    id uuid primary key,
    event_id uuid not null references events,
    endpoint text not null,
    -- The bytes that are signed and sent, the same at every attempt.
    payload text not null,
    state delivery_state not null default 'pending',
    attempt int not null default 0,
    run_at timestamptz not null default clock_timestamp(),
    lease_until timestamptz,
    epoch bigint not null default 0,
    last_status int,
    last_error text,
    created_at timestamptz not null default clock_timestamp(),
    delivered_at timestamptz,
    check ((state = 'delivered') = (delivered_at is not null))
);

create index deliveries_due on deliveries (run_at) where state = 'pending';
create index deliveries_by_event on deliveries (event_id);

-- Append-only tables refuse everything else, whoever asks.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'rows of % are never changed or removed', tg_table_name;
end
$$;

create trigger decisions_are_append_only before update or delete on decisions
    for each statement execute function refuse_change();
create trigger events_are_append_only before update or delete on events
    for each statement execute function refuse_change();
create trigger conversations_are_append_only before update or delete on conversations
    for each statement execute function refuse_change();
