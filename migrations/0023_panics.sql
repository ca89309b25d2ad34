-- What this service fails over again and again: it is asked about by itself, later each time, and parked at last.

-- Questions about the slice in a row that panicked.
alter table slices add column panics smallint not null default 0;
