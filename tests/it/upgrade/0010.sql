-- Nothing new to keep.
select count(*) from conversations;
