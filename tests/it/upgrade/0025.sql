-- An endpoint, one that a purge named, and what each was sent; the first takes nothing.
insert into webhook_endpoints (id, url, events, orgs, secret, created_by)
values ('01900000-0000-7000-8000-0000000000e1', 'http://127.0.0.1:9/hooks', '{purge_completed}', '{default}',
        'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=', 'somebody');
insert into webhook_endpoints (id, url, purge_id, secret, created_by)
select '01900000-0000-7000-8000-0000000000e2', 'http://127.0.0.1:9/of-a-purge', id,
       'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=', 'somebody'
from purges order by id limit 1;
insert into endpoint_health (endpoint, failures, failing_since)
values ('01900000-0000-7000-8000-0000000000e1', 3, now() - interval '1 hour');
