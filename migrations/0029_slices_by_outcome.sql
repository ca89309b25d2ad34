-- Which slices of a purge have conversations of an outcome: those with a decision that led there. A filter that lets few through
-- passes over all others. What is not final yet changes with every step and is not listed.
--
-- Only this index has the order of `slice_no + 0`: asked for that, the planner can't pass over all that was decided in a purge.
create index decisions_by_outcome on decisions (purge_id, to_outcome, (slice_no + 0)) where to_outcome >= 3;
