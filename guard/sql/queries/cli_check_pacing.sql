-- Who owns the function that tells migrations what standbys have still to replay, where that role may not see standbys.
-- By the catalogue: to look a function up by its name takes a right on its schema, which the role may lack.
select pg_get_userbyid(p.proowner) as owner from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'migration_guard' and p.proname = 'unreplayed'
  and not pg_has_role(p.proowner, 'pg_read_all_stats', 'usage')
