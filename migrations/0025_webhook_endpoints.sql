-- Receivers that callers register or name with a purge, and deliveries that no receiver of them can hold up.

create table webhook_endpoints (
    id uuid primary key,
    url text not null,
    description text,
    -- What it is told of; null: of everything that webhooks tell.
    events text[],
    -- Of which orgs; null: of every one.
    orgs text[],
    -- The one purge that it is told of, where that named it; null: it was registered.
    purge_id uuid references purges,
    enabled boolean not null default true,
    -- Why the service disabled it; null where somebody did.
    disabled_reason text,
    disabled_at timestamptz,
    -- Signs what it is sent; and the one before beside it, until then.
    secret text not null,
    previous_secret text,
    previous_until timestamptz,
    key_id uuid,
    created_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    -- Its deliveries are kept, and say for whom they were.
    deleted_at timestamptz,
    check ((previous_secret is null) = (previous_until is null)),
    check (enabled = (disabled_at is null)),
    check (deleted_at is null or not enabled)
);

create index webhook_endpoints_registered on webhook_endpoints (id) where purge_id is null and deleted_at is null;
create unique index webhook_endpoints_by_purge on webhook_endpoints (purge_id) where purge_id is not null;

-- How an endpoint takes what it is sent, `retention` too; without a row, or without failures, it does.
create table endpoint_health (
    endpoint text primary key,
    -- Attempts in a row that failed, and since when.
    failures int not null default 0,
    failing_since timestamptz,
    -- Nothing is sent before.
    open_until timestamptz,
    check ((failures = 0) = (failing_since is null))
);

-- What versions before this one never take for theirs: when a delivery to an endpoint is due stands here, and their `run_at` is
-- far away. Null: `run_at` tells it.
alter table deliveries add column due_at timestamptz;

-- The next of each endpoint.
create index deliveries_of_endpoints_due on deliveries (endpoint, (coalesce(due_at, run_at)), id) where state = 'pending';
-- GET /webhook-deliveries?endpoint=
create index deliveries_by_endpoint on deliveries (endpoint, created_at, id);

-- A secret that another has replaced signs beside it until then.
alter table service_secrets add column until timestamptz;
