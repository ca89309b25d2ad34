-- The id of the API key that asked for a purge: one key has only so many open at once. Not known of purges from before.
alter table purges add column key_id uuid;

create index purges_open_of_a_key on purges (key_id) where finished_at is null;
