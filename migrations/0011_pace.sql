-- What is known of how long jobs take depends on their size. What was known of all sizes alike is learned anew from a few jobs.
alter table paces drop column expected_job_seconds, drop column running_seconds;
alter table paces add column model jsonb not null default '{}';
-- When a job was expected to end, by what was known at its submit.
alter table jobs add column expected_end_at timestamptz;
