-- Who paused and stopped, a hold that was made and released for a reason, and a worker that died while it was paused.
insert into purge_acts (purge_id, act, actor, reason, at)
select id, 'pause', 'somebody', 'a look first', now() from purges order by id limit 1;
insert into org_acts (org, act, actor, reason, at) values ('default', 'stop', 'somebody', 'maintenance', now());
insert into holds (id, matter, active, created_by, request_id, created_at, released_at, released_by, conversations, orgs,
                   reason, release_reason)
values ('01900000-0000-7000-8000-0000000000b8', 'M-8', false, 'somebody', 'r', now(), now(), 'somebody', 0, '{default}',
        'a lawsuit', 'settled');
insert into hold_orgs (org, hold_id, active) values ('default', '01900000-0000-7000-8000-0000000000b8', false);
insert into org_workers (org, worker, is_paused, since, seen_until)
values ('default', '01900000-0000-7000-8000-0000000000f8', true, now(), now() - interval '1 minute');
-- What was there before is found.
select 1 / (select count(*) from purge_requests) from purges limit 1;
