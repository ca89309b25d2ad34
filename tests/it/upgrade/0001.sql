-- An org, a key, a hold; a purge that was just accepted, one whose conversations wait for a job, one that is completed
-- and whose webhook was not sent yet.
insert into orgs (name, policy) values ('default', '{"defaultDays": 365, "unknownAge": "retain"}');
insert into limiters (org) values ('default');
insert into paces (org) values ('default');

insert into api_keys (id, name, prefix, sha256, scopes) values
    ('01900000-0000-7000-8000-0000000000a1', 'exporter', 'gpk_sample', '\x00', '{purges:read,purges:write}');

insert into holds (id, matter, active, created_by, request_id, created_at, conversations, orgs) values
    ('01900000-0000-7000-8000-0000000000b1', 'Smith v. Jones', true, 'legal', 'r-0', now() - interval '1 day', 1,
     '{default}');
insert into hold_conversations (conversation_id, org, hold_id) values
    ('$6', 'default', '01900000-0000-7000-8000-0000000000b1');

insert into purges (id, org, state, dry_run, requested_by, request_id, created_at, started_at, finished_at, turn_at,
                    event_no, duplicates, total, drawable, pending, eligible, on_hold)
values
    ('01900000-0000-7000-8000-000000000001', 'default', 'queued', false, 'exporter', 'r-1', now() - interval '1 hour',
     null, null, now() - interval '1 hour', 1, 0, 3, 0, 3, 0, 0),
    ('01900000-0000-7000-8000-000000000002', 'default', 'running', false, 'exporter', 'r-2', now() - interval '1 hour',
     now() - interval '1 hour', null, now() - interval '1 hour', 2, 0, 2, 2, 0, 2, 0),
    ('01900000-0000-7000-8000-000000000003', 'default', 'completed', false, 'exporter', 'r-3',
     now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour', 3, 0,
     1, 0, 0, 0, 1);

update purges set reference = 'R-1', labels = '{"team": "a"}' where id = '01900000-0000-7000-8000-000000000001';

insert into slices (purge_id, slice_no, org, state, ids, outcomes, pending, drawable, facts_at, facts_epoch, run_at)
values
    ('01900000-0000-7000-8000-000000000001', 0, 'default', 'queued', '{$1,$2,$3}', '\x000000', 3, 0, null, null,
     now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000002', 0, 'default', 'ready', '{$4,$5}', '\x0101', 0, 2,
     now() - interval '1 hour', 1, now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000003', 0, 'default', 'settled', '{$6}', '\x05', 0, 0, now() - interval '1 hour',
     1, now() - interval '1 hour');

insert into conversations (conversation_id, purge_id, ordinal) values
    ('$1', '01900000-0000-7000-8000-000000000001', 0), ('$2', '01900000-0000-7000-8000-000000000001', 1),
    ('$3', '01900000-0000-7000-8000-000000000001', 2), ('$4', '01900000-0000-7000-8000-000000000002', 0),
    ('$5', '01900000-0000-7000-8000-000000000002', 1), ('$6', '01900000-0000-7000-8000-000000000003', 0);

insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, code, decided_at) values
    ('01900000-0000-7000-8000-000000000002', 0, 1, '{0,1}', 0, 1, 'validate', 'eligible', now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000003', 0, 1, '{0}', 0, 5, 'validate', 'legal_hold', now() - interval '1 hour');

insert into events (id, type, org, purge_id, event_no, actor, request_id, payload, at) values
    ('01900000-0000-7000-8000-000000000011', 'purge_accepted', 'default', '01900000-0000-7000-8000-000000000001', 1,
     'exporter', 'r-1', '{}', now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000021', 'purge_accepted', 'default', '01900000-0000-7000-8000-000000000002', 1,
     'exporter', 'r-2', '{}', now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000022', 'purge_started', 'default', '01900000-0000-7000-8000-000000000002', 2,
     'engine', null, '{}', now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000031', 'purge_accepted', 'default', '01900000-0000-7000-8000-000000000003', 1,
     'exporter', 'r-3', '{}', now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000032', 'purge_started', 'default', '01900000-0000-7000-8000-000000000003', 2,
     'engine', null, '{}', now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000033', 'purge_completed', 'default', '01900000-0000-7000-8000-000000000003', 3,
     'engine', null, '{"event": "purge_completed", "purgeId": "01900000-0000-7000-8000-000000000003", "run": 1}',
     now() - interval '1 hour');

insert into deliveries (id, event_id, endpoint, payload) values
    ('01900000-0000-7000-8000-0000000000c1', '01900000-0000-7000-8000-000000000033', 'retention',
     '{"event": "purge_completed", "purgeId": "01900000-0000-7000-8000-000000000003", "run": 1}');
