-- One that was tried, and found by its purge.
insert into delivery_attempts (delivery_id, attempt, at, status, latency_seconds, response, error)
select id, 1, now() - interval '1 hour', 500, 0.25, 'oops', 'the receiver answered 500: oops'
from deliveries
where id = '01900000-0000-7000-8000-0000000000c1';
update deliveries set attempt = 1, last_status = 500, last_error = 'the receiver answered 500: oops'
where id = '01900000-0000-7000-8000-0000000000c1';
