-- The table that a name means, about how many rows it has (null where nobody has counted), and whether something may keep a row
-- from being updated (a trigger before each, or a policy); no row where there is none.
select c.oid::bigint, n.nspname, c.relname, c.relkind::text,
       (select case when min(p.reltuples) >= 0 then sum(p.reltuples) end::float8
          from pg_class p
         where p.oid = c.oid and c.relkind <> 'p'
            or p.relkind <> 'p' and p.oid in (select relid from pg_partition_tree(c.oid))) as tuples,
       row_security_active(c.oid) or exists (
           select from pg_trigger g  -- for each row, before, update
            where g.tgtype & 19 = 19 and g.tgenabled in ('O', 'A')
              and (g.tgrelid = c.oid or g.tgrelid in (select relid from pg_partition_tree(c.oid)))) as may_keep
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.oid = to_regclass(%s)
