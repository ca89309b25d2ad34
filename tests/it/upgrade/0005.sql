-- A purge that failed, and whose conversation was gone when its job was over at last.
insert into jobs (id, org, state, result, size, upstream_job_id, upstream_state, attempt, submitted_at, ended_at,
                  overdue_since, finished_at)
values ('01900000-0000-7000-8000-0000000000d1', 'default', 'done', 'timed_out', 1, 'late-1', 'running', 1,
        now() - interval '50 hours', now() - interval '1 hour', now() - interval '26 hours', now() - interval '1 hour');

insert into purges (id, org, state, run, dry_run, requested_by, request_id, created_at, started_at, finished_at, turn_at,
                    event_no, duplicates, total, pending, failed)
values ('01900000-0000-7000-8000-000000000006', 'default', 'failed', 1, false, 'exporter', 'r-8',
        now() - interval '51 hours', now() - interval '51 hours', now() - interval '26 hours',
        now() - interval '51 hours', 4, 0, 1, 0, 1);

insert into slices (purge_id, slice_no, org, state, ids, outcomes, pending, run_at) values
    ('01900000-0000-7000-8000-000000000006', 0, 'default', 'settled', '{2b4e28ba-2fa1-4d2b-883f-0016d3cca427}', '\x19',
     0, now() - interval '51 hours');

insert into conversations (conversation_id, purge_id, ordinal) values
    ('2b4e28ba-2fa1-4d2b-883f-0016d3cca427', '01900000-0000-7000-8000-000000000006', 0);

insert into job_parts (job_id, purge_id, slice_no, positions, carried_before) values
    ('01900000-0000-7000-8000-0000000000d1', '01900000-0000-7000-8000-000000000006', 0, '{0}', '{}');

insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, job_id, code, decided_at)
values
    ('01900000-0000-7000-8000-000000000006', 0, 1, '{0}', 0, 1, 'validate', null, 'eligible',
     now() - interval '51 hours'),
    ('01900000-0000-7000-8000-000000000006', 0, 1, '{0}', 1, 2, 'intend', '01900000-0000-7000-8000-0000000000d1',
     'intent', now() - interval '50 hours'),
    ('01900000-0000-7000-8000-000000000006', 0, 1, '{0}', 2, 9, 'verify', '01900000-0000-7000-8000-0000000000d1',
     'timed_out', now() - interval '26 hours');

insert into events (id, type, org, purge_id, event_no, job_id, actor, request_id, payload, at) values
    ('01900000-0000-7000-8000-000000000061', 'purge_accepted', 'default', '01900000-0000-7000-8000-000000000006', 1,
     null, 'exporter', 'r-8', '{}', now() - interval '51 hours'),
    ('01900000-0000-7000-8000-000000000062', 'purge_started', 'default', '01900000-0000-7000-8000-000000000006', 2,
     null, 'engine', null, '{}', now() - interval '51 hours'),
    ('01900000-0000-7000-8000-000000000063', 'purge_failed', 'default', '01900000-0000-7000-8000-000000000006', 3,
     null, 'engine', null, '{"event": "purge_failed", "purgeId": "01900000-0000-7000-8000-000000000006", "run": 1}',
     now() - interval '26 hours'),
    ('01900000-0000-7000-8000-000000000064', 'gone_late', 'default', '01900000-0000-7000-8000-000000000006', 4,
     '01900000-0000-7000-8000-0000000000d1', 'engine', null,
     '{"conversationIds": ["2b4e28ba-2fa1-4d2b-883f-0016d3cca427"]}', now() - interval '1 hour');

insert into deliveries (id, event_id, endpoint, payload) values
    ('01900000-0000-7000-8000-0000000000c3', '01900000-0000-7000-8000-000000000063', 'retention',
     '{"event": "purge_failed", "purgeId": "01900000-0000-7000-8000-000000000006", "run": 1}');
