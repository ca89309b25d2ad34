-- Every conversation of a canceled purge that is neither submitted nor final can be swept, also one that an upstream job
-- past its deadline may still delete: it fails then, and the last look at that job is about it. `open` is for the order.
drop view purges_to_sweep;

create view purges_to_sweep as
    select p.org, p.id, p.retry_from, p.pending + p.eligible as open
    from purges p
    where p.state = 'canceling' and p.pending + p.eligible > 0
    union all
    select p.org, p.id, p.retry_from, p.pending + p.eligible as open
    from purges p
    where p.retry_from is not null and p.state <> 'canceling';

-- Dry runs that rest are not looked at, however many there are.
drop index purges_dry;

create index purges_dry on purges (org, turn_at)
    where dry_run and pending > 0 and finished_at is null and state in ('queued', 'running');
