-- After 0007: what was found out about an id that a purge of before had named.
insert into findings (org, conversation_id, gone_at)
values ('default', '3b4e28ba-2fa1-4d2b-883f-0016d3cca427', clock_timestamp());
