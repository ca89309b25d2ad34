-- A token that was told, calls that were counted, a purge that was seen at two moments.
insert into tokens (org, got_at, expires_at) values ('default', now() - interval '1 hour', now() + interval '1 hour');

update limiters set calls = '{1,2,3}', called_at = now() - interval '10 seconds' where org = 'default';

update purges
set rate_at = now() - interval '10 minutes', rate_settled = 0, rate_from_at = now() - interval '20 minutes',
    rate_from_settled = 0
where id = '01900000-0000-7000-8000-000000000002';
