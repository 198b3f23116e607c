-- What cancelled statements have left behind in this database, each with the statement that mends it.
--
-- As cancel_leftovers, which needs to know the tables; without the right to see what others build, an index is taken for
-- one that is being built where somebody else holds the lock on its table that this takes.
select format('invalid index %I.%I: DROP INDEX CONCURRENTLY %I.%I;', n.nspname, c.relname, n.nspname, c.relname)
       as words
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
 where not i.indisvalid and c.relkind = 'i'
   and not exists (select from pg_locks l
                    where l.relation = i.indrelid and l.mode = 'ShareUpdateExclusiveLock' and l.granted
                      and l.database = (select d.oid from pg_database d where d.datname = current_database()))
union all
select format('partition %I.%I is half detached: ALTER TABLE %I.%I DETACH PARTITION %I.%I FINALIZE;',
              cn.nspname, c.relname, pn.nspname, p.relname, cn.nspname, c.relname)
  from pg_inherits h
  join pg_class c on c.oid = h.inhrelid
  join pg_namespace cn on cn.oid = c.relnamespace
  join pg_class p on p.oid = h.inhparent
  join pg_namespace pn on pn.oid = p.relnamespace
 where h.inhdetachpending
 order by words
