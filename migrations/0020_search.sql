-- The search for what upstream protects and does not name; and how many of an org's jobs conflicted.

alter table jobs
    -- The job whose refusal began the search that this one is a piece of.
    add column search uuid references jobs,
    -- It is the rest of a batch that conflicted: the answer to that piece, the first half, says how it goes on. Null once
    -- that was said.
    add column after uuid references jobs,
    -- A submit of it conflicted.
    add column conflicted boolean not null default false,
    add constraint a_rest_is_a_piece check (after is null or search is not null);

create index jobs_of_search on jobs (search) where search is not null;
create index jobs_by_first_half on jobs (after) where after is not null;
-- The jobs that packing made, the latest first: how many of them conflicted?
create index jobs_packed on jobs (org, created_at desc) where parent is null;

-- How the pieces stand that are not submitted yet, or are just being. Upstream took a job if and only if it has its id.
create view search_pieces as
select j.id, j.search, j.tries,
       case
           when j.after is null then 'tried'
           -- The first half went through as it was, so this one conflicts.
           when f.upstream_job_id is not null and not f.conflicted then 'conflicts'
           -- One that is put off again and again holds up nobody.
           when f.state in ('waiting', 'submitting') and f.tries < 10 then 'waits'
           -- The first half conflicts, or was never answered: nothing is known of this one.
           else 'unknown'
       end as standing
from jobs j
left join jobs f on f.id = j.after
where j.search is not null and j.state <> 'done' and j.state in ('waiting', 'submitting');

-- Those that must not go yet: what is unknown goes when its search is at its end, with the rest of other searches.
create view search_pieces_held_back as
select p.id
from search_pieces p
where p.standing = 'waits'
   or p.standing = 'unknown' and exists (
       select from search_pieces s
       where s.search = p.search and s.standing in ('tried', 'conflicts') and s.tries < 10
   );

-- The slots that are not free to pack for: a live job holds them, or a waiting one will take them. One that was put behind the
-- others again and again keeps no slot from them.
create view slots_kept as
select org
from jobs
where state <> 'done' and (takes_slot or state = 'waiting' and parent is null and tries < 10);

-- Jobs from before count no more: the last block for conflicts was lifted then.
alter table orgs add column conflicts_since timestamptz;
