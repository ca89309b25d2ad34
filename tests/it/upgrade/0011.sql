update paces set model = '{"1": {"expected": 0.5, "agreed": true, "longer": null, "running": 0.4, "varies": false, "early": 0}}';

-- A purge of what is kept for its age: a row a conversation, since each said until when in words.
insert into purges (id, org, state, run, dry_run, requested_by, request_id, created_at, started_at, finished_at, turn_at,
                    event_no, duplicates, total, pending, retained)
values ('01900000-0000-7000-8000-000000000007', 'default', 'completed', 1, false, 'exporter', 'r-9',
        now() - interval '9 hours', now() - interval '9 hours', now() - interval '9 hours', now() - interval '9 hours',
        3, 0, 2, 0, 2);

insert into slices (purge_id, slice_no, org, state, ids, outcomes, pending, run_at) values
    ('01900000-0000-7000-8000-000000000007', 0, 'default', 'settled',
     '{3b4e28ba-2fa1-4d2b-883f-0016d3cca427,4b4e28ba-2fa1-4d2b-883f-0016d3cca427}', '\x0606', 0,
     now() - interval '9 hours');

insert into conversations (conversation_id, purge_id, ordinal) values
    ('3b4e28ba-2fa1-4d2b-883f-0016d3cca427', '01900000-0000-7000-8000-000000000007', 0),
    ('4b4e28ba-2fa1-4d2b-883f-0016d3cca427', '01900000-0000-7000-8000-000000000007', 1);

insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, code, detail, decided_at)
values
    ('01900000-0000-7000-8000-000000000007', 0, 1, '{0}', 0, 6, 'validate', 'retention_period',
     'kept until 2030-01-02T03:04:05.678Z', now() - interval '9 hours'),
    ('01900000-0000-7000-8000-000000000007', 0, 1, '{1}', 0, 6, 'validate', 'retention_period',
     'kept until 2031-01-02T03:04:05Z', now() - interval '9 hours');

insert into events (id, type, org, purge_id, event_no, actor, request_id, payload, at) values
    ('01900000-0000-7000-8000-000000000071', 'purge_accepted', 'default', '01900000-0000-7000-8000-000000000007', 1,
     'exporter', 'r-9', '{}', now() - interval '9 hours'),
    ('01900000-0000-7000-8000-000000000072', 'purge_started', 'default', '01900000-0000-7000-8000-000000000007', 2,
     'engine', null, '{}', now() - interval '9 hours'),
    ('01900000-0000-7000-8000-000000000073', 'purge_completed', 'default', '01900000-0000-7000-8000-000000000007', 3,
     'engine', null, '{"event": "purge_completed", "purgeId": "01900000-0000-7000-8000-000000000007", "run": 1}',
     now() - interval '9 hours');

insert into deliveries (id, event_id, endpoint, payload) values
    ('01900000-0000-7000-8000-0000000000c4', '01900000-0000-7000-8000-000000000073', 'retention',
     '{"event": "purge_completed", "purgeId": "01900000-0000-7000-8000-000000000007", "run": 1}');
