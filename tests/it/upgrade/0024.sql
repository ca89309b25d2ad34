-- One that is written by a version that knows nothing of numbers, and stands in the queue.
insert into events (id, type, org, actor, payload, at)
values ('01900000-0000-7000-8000-0000000000e4', 'org_resumed', 'default', 'tester', '{}', now());
select 1 / count(*) from events_unstamped where event_id = '01900000-0000-7000-8000-0000000000e4';
select 1 / count(*) from events_backlog;
