-- The standbys that are connected now. Without pg_monitor PostgreSQL hides the state.
select application_name as name, state from pg_stat_replication where state is distinct from 'backup' order by application_name
