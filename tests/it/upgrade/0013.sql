-- Nothing new to keep.
select count(*) from decisions where kept_until is not null;
