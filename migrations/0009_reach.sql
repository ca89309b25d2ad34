-- Lists by what a key reaches: the org comes first in the index that is read, so that a list costs what it shows, however
-- much other orgs have of the same.

-- A tag is that of a purge of one org.
alter table purge_tags rename to tags_of_all_orgs;
alter index purge_tags_pkey rename to tags_of_all_orgs_pkey;

create table purge_tags (
    org text not null,
    tag text not null,
    purge_id uuid not null references purges,
    primary key (org, tag, purge_id)
);

insert into purge_tags (org, tag, purge_id)
select p.org, t.tag, t.purge_id
from tags_of_all_orgs t
join purges p on p.id = t.purge_id;

drop table tags_of_all_orgs;

-- The holds of an org that were ever in force: one whose ids are still being loaded, or whose request broke off, is none.
create table hold_orgs (
    org text not null,
    hold_id uuid not null references holds,
    primary key (org, hold_id)
);

create function list_hold() returns trigger language plpgsql as $$
begin
    insert into hold_orgs (org, hold_id)
    select distinct org, new.id from unnest(new.orgs) as org
    on conflict do nothing;
    return null;
end
$$;

-- Whoever brings a hold into force lists it.
create trigger holds_in_force_are_listed after insert or update of active on holds
    for each row when (new.active) execute function list_hold();

insert into hold_orgs (org, hold_id)
select distinct org, h.id
from holds h
cross join unnest(h.orgs) as org
where h.active or h.released_at is not null;

-- The history of a conversation goes page by page from purge to purge; an id may be in very many.
create index conversations_by_id_and_purge on conversations (conversation_id, purge_id);
drop index conversations_by_id;
