-- What is counted for the metrics at every scrape must not be looked for among everything that ever was.

create index purges_open on purges (org) where finished_at is null;
create index deliveries_dead on deliveries (id) where state = 'dead';
