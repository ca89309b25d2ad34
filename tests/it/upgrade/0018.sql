-- No purge had paused itself.
select count(*) from purges where paused_for is not null;
