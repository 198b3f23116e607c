-- Note which database this is; a stamp that is there already stays, and an earlier version becomes this one.
insert into migration_guard.installation as i (version, protocol, system_identifier, database_oid, database_name)
select 2, 1, c.system_identifier, d.oid, d.datname
from pg_control_system() c, pg_database d where d.datname = current_database()
on conflict (only_row) do update set version = excluded.version, protocol = excluded.protocol
    where (i.version, i.protocol) < (excluded.version, excluded.protocol)
