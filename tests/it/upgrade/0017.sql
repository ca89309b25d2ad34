-- Versions that bring the migration before may go on.
select oldest from schema_floor where oldest = 16;
