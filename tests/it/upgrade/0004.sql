-- Two indexes over what is there already.
select count(*) from purges where finished_at is null;
