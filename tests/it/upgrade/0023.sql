-- One over which a question panicked.
update slices set panics = 1
where (purge_id, slice_no) = (select purge_id, slice_no from slices where state = 'queued' order by purge_id, slice_no limit 1);
