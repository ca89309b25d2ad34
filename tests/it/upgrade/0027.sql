-- A key that expires, and one that was used.
update api_keys set expires_at = clock_timestamp() + interval '30 days', last_used_at = clock_timestamp();
