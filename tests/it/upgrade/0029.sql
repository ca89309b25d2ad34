-- An index only.
select count(*) from decisions;
