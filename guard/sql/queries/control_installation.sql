-- Which version is installed, and whether it was made in this very database.
select i.version, i.protocol, i.database_name,
       i.system_identifier = (select system_identifier from pg_control_system())
       and i.database_oid = (select oid from pg_database where datname = current_database())
from migration_guard.installation i
