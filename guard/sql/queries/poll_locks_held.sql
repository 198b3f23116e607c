-- Tables and indexes that the migration's sessions have locked ACCESS EXCLUSIVE; times in seconds.
--
-- pg_locks is read only where such a session has a transaction open. What that transaction has made itself is no row of
-- pg_class yet, and what is temporary is nobody else's: locking them stops nobody.
(select coalesce(
          jsonb_agg(jsonb_build_object('pid', m.pid, 'usename', m.usename, 'name', m.application_name, 'state', m.state,
                                       'in_state', m.in_state, 'at_work', m.at_work,
                                       'transaction', h.virtualtransaction, 'relation', h.relation, 'table', h.name)),
          '[]')
   from (select a.pid, a.usename, a.application_name, a.state,
                extract(epoch from clock_timestamp() - a.state_change) as in_state,
                extract(epoch from clock_timestamp() - a.xact_start) as at_work
           from pg_stat_activity a
          where a.xact_start is not null and {migration}
         offset 0) m
  cross join lateral
        (select l.virtualtransaction, l.relation::bigint as relation, format('%%I.%%I', n.nspname, c.relname) as name
           from pg_locks l
           join pg_class c on c.oid = l.relation
           join pg_namespace n on n.oid = c.relnamespace
          where l.pid = m.pid and l.granted and l.locktype = 'relation' and l.mode = 'AccessExclusiveLock'
            and l.database = (select d.oid from pg_database d where d.datname = current_database())
            and c.relpersistence <> 't' and n.nspname <> 'pg_toast'
         offset 0) h)
