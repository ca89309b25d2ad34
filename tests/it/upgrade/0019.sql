-- How calls went was not counted.
select count(*) from limiters where broken_until is not null;
