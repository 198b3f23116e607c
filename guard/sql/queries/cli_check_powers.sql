-- What the guard's role may do beyond its part: attributes, and tables outside of its own schema that it owns or may change.
with own as (
    select r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls from pg_roles r where r.rolname = current_user
), tables as (
    select format('%I.%I', n.nspname, c.relname) as name, pg_has_role(current_user, c.relowner, 'usage') as owned
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'migration_guard')
       and has_table_privilege(current_user, c.oid, 'insert, update, delete, truncate')
), mine as (
    select 1 from pg_namespace n where n.nspname = 'migration_guard' and pg_has_role(current_user, n.nspowner, 'usage')
)
select array_remove(array[case when rolcreaterole then 'CREATEROLE' end, case when rolcreatedb then 'CREATEDB' end,
                          case when rolreplication then 'REPLICATION' end, case when rolbypassrls then 'BYPASSRLS' end],
                    null) as attributes,
       (select count(*)::int from tables where owned) as owned,
       (select count(*)::int from tables where not owned) as changed,
       (select min(name) from tables) as example,
       exists (select from mine) as owns_schema
  from own
