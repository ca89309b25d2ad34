-- Who waits for an id that a job lets go is woken afterwards, a few slices a transaction: an id that tens of thousands of
-- purges wait for must not hold the org's lock for seconds.
--
-- An id that some conversation waits for and that no job has any more. None of them is reserved: whoever reserves one takes
-- it out, and those who are not woken yet wait for the new job.
create table released (
    org text not null,
    conversation_id uuid not null,
    primary key (org, conversation_id)
);

-- What waits of a slice is woken together.
drop index waiters_by_purge;
create index waiters_by_slice on waiters (purge_id, slice_no);
