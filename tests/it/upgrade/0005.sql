-- Nothing new to keep: a view and an index.
select count(*) from purges_to_sweep;
