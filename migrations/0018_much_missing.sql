-- Purges that the service paused itself, since too much of them is not known upstream.

alter table purges
    -- Why the service paused it; null where a caller did, and once it goes on.
    add column paused_for text,
    -- When it did: once is enough, whoever resumes it has looked.
    add column much_missing_at timestamptz,
    add constraint paused_for_what_is_missing check (paused_for is null or much_missing_at is not null);
