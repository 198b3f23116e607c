-- What cancelled statements have left behind on these tables, each with the statement that mends it.
--
-- An index that is being built is invalid too, and no leftover; an index on a partitioned table (relkind I) that is
-- invalid waits for its partitions by design.
with concerned as (
  select unnest(%(relations)s::oid[]) as relation
)
select format('invalid index %%I.%%I: DROP INDEX CONCURRENTLY %%I.%%I;', n.nspname, c.relname, n.nspname, c.relname)
       as words
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
 where not i.indisvalid and c.relkind = 'i'
   and (i.indrelid in (select relation from concerned) or i.indexrelid in (select relation from concerned))
   and not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)
union all
select format('partition %%I.%%I is half detached: ALTER TABLE %%I.%%I DETACH PARTITION %%I.%%I FINALIZE;',
              cn.nspname, c.relname, pn.nspname, p.relname, cn.nspname, c.relname)
  from pg_inherits h
  join pg_class c on c.oid = h.inhrelid
  join pg_namespace cn on cn.oid = c.relnamespace
  join pg_class p on p.oid = h.inhparent
  join pg_namespace pn on pn.oid = p.relnamespace
 where h.inhdetachpending
   and (h.inhrelid in (select relation from concerned) or h.inhparent in (select relation from concerned))
 order by words
