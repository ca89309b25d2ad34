-- What server an older version worked on is not known: the first start with this one writes it down.
select count(*) from database_history;
