-- Note which database this is; a stamp that is there already stays.
insert into migration_guard.installation (version, protocol, system_identifier, database_oid, database_name)
select 1, 1, c.system_identifier, d.oid, d.datname
from pg_control_system() c, pg_database d where d.datname = current_database()
on conflict do nothing
