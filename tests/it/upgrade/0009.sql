-- A hold that came into force, and a label, as the lists of an org find them.
insert into holds (id, matter, active, created_by, request_id, created_at, conversations, orgs) values
    ('01900000-0000-7000-8000-0000000000b2', 'Doe v. Roe', true, 'legal', 'r-9', now() - interval '1 hour', 1,
     '{default}');
insert into hold_conversations (conversation_id, org, hold_id) values
    ('$6', 'default', '01900000-0000-7000-8000-0000000000b2');

update purges set labels = '{"team": "b"}' where id = '01900000-0000-7000-8000-000000000002';
insert into purge_tags (org, tag, purge_id) values
    ('default', 'team:b', '01900000-0000-7000-8000-000000000002');
