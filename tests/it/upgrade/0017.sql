-- Which conversations exist was not kept.
select count(*) from controls;
