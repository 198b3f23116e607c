-- Invalid indexes that nobody is at work on: what a cancelled build leaves behind.
--
-- One on a partitioned table (relkind I) waits for its partitions by design. Of the indexes that REINDEX CONCURRENTLY
-- makes, the server reports only the one that is built now; whoever works on one, or drops it, has it locked.
(select coalesce(jsonb_agg(i.name order by i.name), '[]')
   from (select format('%%I.%%I', n.nspname, c.relname) as name
           from pg_index x
           join pg_class c on c.oid = x.indexrelid
           join pg_namespace n on n.oid = c.relnamespace
          where not x.indisvalid and c.relkind = 'i' and c.relpersistence <> 't'
            and not exists (select from pg_stat_progress_create_index p
                             where p.index_relid = x.indexrelid
                                or p.relid = x.indrelid and coalesce(p.index_relid, 0) = 0
                                   and p.command = 'CREATE INDEX CONCURRENTLY')
            and not exists (select from pg_locks l
                             where l.locktype = 'relation' and l.granted and l.relation = x.indexrelid
                               and l.mode in ('ShareUpdateExclusiveLock', 'AccessExclusiveLock')
                               and l.database = (select d.oid from pg_database d
                                                  where d.datname = current_database()))) i)
