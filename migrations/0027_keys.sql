-- Keys that end by themselves, and when each was used last.
alter table api_keys
    -- From then on it is refused, like one that was revoked. Null: it does not expire.
    add column expires_at timestamptz,
    -- When a request last brought it, to about a minute. Null: not since this is noted.
    add column last_used_at timestamptz;

-- Whether a key counts: the one rule for it.
create function is_key_in_force(revoked_at timestamptz, expires_at timestamptz) returns boolean volatile language sql as $$
    select revoked_at is null and (expires_at is null or expires_at > clock_timestamp())
$$;
