-- What is append-only can't be emptied at once either.

create trigger decisions_are_never_emptied before truncate on decisions
    for each statement execute function refuse_change();
create trigger events_are_never_emptied before truncate on events
    for each statement execute function refuse_change();
create trigger conversations_are_never_emptied before truncate on conversations
    for each statement execute function refuse_change();
