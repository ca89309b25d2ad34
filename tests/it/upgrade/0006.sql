-- Nothing new to keep.
select count(*) from decisions where code = 'gone_late';
