-- Which versions may work on this schema: during an upgrade the one before still does.

create table schema_floor (
    is_only boolean primary key default true check (is_only),
    -- The newest migration that the oldest of them brings. A migration that takes away what older versions need, or after
    -- which they would decide wrongly, raises it.
    oldest bigint not null
);

insert into schema_floor (oldest) values (16);
