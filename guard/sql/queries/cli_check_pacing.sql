-- Who owns the function that tells migrations what standbys have still to replay, where that role may not see standbys.
select pg_get_userbyid(p.proowner) as owner from pg_proc p
where p.oid = to_regprocedure('migration_guard.unreplayed(jsonb, boolean)')
  and not pg_has_role(p.proowner, 'pg_read_all_stats', 'usage')
