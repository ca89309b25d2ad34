-- How an org's calls went, over all replicas: after some without an answer in a row nothing is called but one probe at a time.

alter table limiters
    -- Calls without an answer in a row.
    add column failures int not null default 0,
    -- Nothing is called before; null while the calls are answered.
    add column broken_until timestamptz,
    -- A probe is on its way.
    add column is_probing boolean not null default false,
    -- Since when, and what the last call came to.
    add column broken_since timestamptz,
    add column broken_call text,
    add column broken_detail text,
    add constraint broken_says_why check (num_nulls(broken_until, broken_since, broken_call, broken_detail) in (0, 4)),
    add constraint only_what_is_broken_is_probed check (not is_probing or broken_until is not null);
