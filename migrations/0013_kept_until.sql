-- Until when each conversation is kept, in the order of the positions, where its age keeps it: one row says why of all of a
-- slice, and the detail of each is told from its own moment. Rows from before say it in words, each of one conversation.
alter table decisions
    add column kept_until timestamptz[],
    add constraint decisions_keep_each_until_a_moment_of_its_own check (
        kept_until is null
        or (detail is null and cardinality(kept_until) = cardinality(positions)
            and array_position(kept_until, null) is null)
    );
