-- The conversations that a hold names, a page at a time.
create index hold_conversations_of_hold on hold_conversations (hold_id, conversation_id, org);
drop index hold_conversations_by_hold;
