-- The caller's own name for a hold: one that is in force is not made twice, however often it is sent.
alter table holds
    add column external_id text,
    -- The id of the API key that made it. Not known of holds from before.
    add column key_id uuid,
    add constraint an_external_id_is_of_a_key check (external_id is null or key_id is not null);

create unique index holds_by_external_id on holds (key_id, external_id) where external_id is not null and active;
