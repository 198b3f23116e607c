-- The table that a name means, and about how many rows it has (null where nobody has counted); no row where there is none.
select c.oid::bigint, n.nspname, c.relname, c.relkind::text,
       (select case when min(p.reltuples) >= 0 then sum(p.reltuples) end::float8
          from pg_class p
         where p.oid = c.oid and c.relkind <> 'p'
            or p.relkind <> 'p' and p.oid in (select relid from pg_partition_tree(c.oid))) as tuples
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.oid = to_regclass(%s)
