-- A purge whose retry has just begun, one that is being canceled, and the key of a request.
insert into purges (id, org, state, run, dry_run, requested_by, request_id, created_at, started_at, turn_at, event_no,
                    duplicates, total, pending, failed, retry_from)
values
    ('01900000-0000-7000-8000-000000000004', 'default', 'running', 2, false, 'exporter', 'r-4',
     now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour', 4, 0, 1, 0, 1, 0),
    ('01900000-0000-7000-8000-000000000005', 'default', 'canceling', 1, false, 'exporter', 'r-5',
     now() - interval '1 hour', null, now() - interval '1 hour', 2, 0, 2, 2, 0, null);

insert into slices (purge_id, slice_no, org, state, ids, outcomes, pending, run_at) values
    ('01900000-0000-7000-8000-000000000004', 0, 'default', 'settled', '{$7}', '\x09', 0, now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000005', 0, 'default', 'queued', '{$8,$9}', '\x0000', 2,
     now() - interval '1 hour');

insert into conversations (conversation_id, purge_id, ordinal) values
    ('$7', '01900000-0000-7000-8000-000000000004', 0), ('$8', '01900000-0000-7000-8000-000000000005', 0),
    ('$9', '01900000-0000-7000-8000-000000000005', 1);

insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, code, decided_at) values
    ('01900000-0000-7000-8000-000000000004', 0, 1, '{0}', 0, 9, 'validate', 'upstream_refused',
     now() - interval '1 hour');

insert into events (id, type, org, purge_id, event_no, actor, request_id, payload, at) values
    ('01900000-0000-7000-8000-000000000041', 'purge_accepted', 'default', '01900000-0000-7000-8000-000000000004', 1,
     'exporter', 'r-4', '{}', now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000042', 'purge_started', 'default', '01900000-0000-7000-8000-000000000004', 2,
     'engine', null, '{}', now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000043', 'purge_failed', 'default', '01900000-0000-7000-8000-000000000004', 3,
     'engine', null, '{"event": "purge_failed", "purgeId": "01900000-0000-7000-8000-000000000004", "run": 1}',
     now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000044', 'purge_retried', 'default', '01900000-0000-7000-8000-000000000004', 4,
     'exporter', 'r-6', '{"run": 2}', now()),
    ('01900000-0000-7000-8000-000000000051', 'purge_accepted', 'default', '01900000-0000-7000-8000-000000000005', 1,
     'exporter', 'r-5', '{}', now() - interval '1 hour'),
    ('01900000-0000-7000-8000-000000000052', 'purge_canceling', 'default', '01900000-0000-7000-8000-000000000005', 2,
     'exporter', 'r-7', '{}', now());

insert into deliveries (id, event_id, endpoint, payload) values
    ('01900000-0000-7000-8000-0000000000c2', '01900000-0000-7000-8000-000000000043', 'retention',
     '{"event": "purge_failed", "purgeId": "01900000-0000-7000-8000-000000000004", "run": 1}');

insert into idempotency_keys (key_id, key, fingerprint, purge_id, created_at) values
    ('01900000-0000-7000-8000-0000000000a1', 'nightly', '\x01', '01900000-0000-7000-8000-000000000004', now());
