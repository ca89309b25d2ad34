-- What was gone after all when a job that was given up was over was told as an event alone. From now on a decision says
-- so, too, in the history of each conversation: also of those that were told before.
insert into decisions (purge_id, slice_no, run, positions, from_outcome, to_outcome, step, job_id, code, decided_at)
select told.purge_id, told.slice_no, p.run, array_agg(told.position order by told.position), told.outcome, told.outcome,
       'verify', told.job_id, 'gone_late', told.at
from (
    select e.purge_id, e.job_id, e.at, s.slice_no, (c.ordinal % 500)::smallint as position,
           (get_byte(s.outcomes, c.ordinal % 500) & 15)::smallint as outcome
    from events e
    cross join lateral jsonb_array_elements_text(e.payload -> 'conversationIds') as gone (id)
    join conversations c on c.conversation_id = gone.id::uuid and c.purge_id = e.purge_id
    join slices s on s.purge_id = c.purge_id and s.slice_no = c.ordinal / 500
    where e.type = 'gone_late'
) told
join purges p on p.id = told.purge_id
-- What was retried since is judged by what is seen of it, or was.
where told.outcome not in (0, 1, 2, 3, 4)
group by told.purge_id, told.slice_no, p.run, told.outcome, told.job_id, told.at
order by told.at;

-- Facts from before that count no more, in whatever purge.
update slices s
set purged_at = greatest(s.purged_at, gone.at)
from (select purge_id, slice_no, max(decided_at) as at from decisions where code = 'gone_late' group by 1, 2) gone
where (s.purge_id, s.slice_no) = (gone.purge_id, gone.slice_no);
