-- Conversations of an org that are known to exist and that none of its jobs may delete. One is asked about along with what
-- may be gone: an answer that leaves it out, too, proves nothing about the others.

create table controls (
    org text not null references orgs (name),
    conversation_id uuid not null,
    -- When an answer showed it last, as far as that was noted.
    seen_at timestamptz not null,
    -- So many answers lacked it since then.
    missed smallint not null default 0 check (missed >= 0),
    -- One of these answers showed others.
    is_missed_alone boolean not null default false check (missed > 0 or not is_missed_alone),
    -- When the last of them was counted; those that come together count once.
    missed_at timestamptz,
    primary key (org, conversation_id),
    check ((missed > 0) = (missed_at is not null))
);

-- A job carries the conversation, or has carried it and may have deleted it, or it was seen to be gone: that it is missing
-- says nothing of what upstream shows.
create function is_no_control(of_org text, id uuid) returns boolean stable language sql as $$
    select exists (select from reservations where org = of_org and conversation_id = id)
        or exists (
            select from findings
            where org = of_org and conversation_id = id and num_nonnulls(gone_at, carried_at) > 0
        )
$$;

create view controls_known as
    select org, conversation_id, missed, is_missed_alone, seen_at
    from controls
    where not is_no_control(org, conversation_id);
