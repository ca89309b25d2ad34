-- Jobs from before are pieces of no search.
select count(*) from jobs where search is not null or after is not null;
