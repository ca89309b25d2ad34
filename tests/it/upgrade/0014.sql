-- Purges from before have no key.
select count(*) from purges where key_id is not null;
