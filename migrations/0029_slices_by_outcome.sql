-- Which slices of a purge have conversations of an outcome: those with a decision that led there. A filter that lets few through
-- passes over all others. What is not final yet changes with every step and is not listed.
create index decisions_by_outcome on decisions (purge_id, to_outcome, slice_no) where to_outcome >= 3;
