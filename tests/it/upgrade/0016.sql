-- Holds from before have no name of their caller's.
select count(*) from holds where external_id is not null;
