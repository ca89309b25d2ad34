-- A slice that could not be read once, and can be by now.
update slices
set drawable = 0, read_again_at = now(), unreadable_why = 'the outcome byte at position 0 is 0x0f', unreadable_tries = 1
where purge_id = '01900000-0000-7000-8000-000000000002';
update purges set drawable = 0 where id = '01900000-0000-7000-8000-000000000002';
