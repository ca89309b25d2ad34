-- An index only.
select count(*) from hold_conversations;
