-- Tables of this database that are vacuumed now, but by a migration itself, for how long (in seconds), and whether a
-- migration's session holds or waits for a lock on one that is more than a reader's.
--
-- pg_locks is read only while there are such. The table of long values belongs to its table. Without pg_read_all_stats
-- (a part of pg_monitor) nothing is shown of other sessions.
(select jsonb_build_object(
          'permitted', pg_has_role('pg_read_all_stats', 'usage'),
          'tables', coalesce(
            (select jsonb_agg(to_jsonb(t))
               from (select p.pid, p.phase, m.oid::bigint as relation, format('%%I.%%I', n.nspname, m.relname) as name,
                            v.backend_type = 'autovacuum worker' as automatic, v.usename, v.application_name,
                            v.query like '%%(to prevent wraparound)%%' as wraparound,
                            extract(epoch from v.xact_start) as began,
                            extract(epoch from clock_timestamp() - v.xact_start) as lasting,
                            exists (select
                                      from pg_locks l
                                      join pg_stat_activity a on a.pid = l.pid
                                     where l.locktype = 'relation' and l.relation = m.oid and l.database = p.datid
                                       and l.mode <> 'AccessShareLock' and a.pid <> p.pid and {migration}) as touched
                       from pg_stat_progress_vacuum p
                       join pg_stat_activity v on v.pid = p.pid
                       join pg_class c on c.oid = p.relid
                       join pg_class m on m.oid = c.oid and c.relkind <> 't' or m.reltoastrelid = c.oid
                       join pg_namespace n on n.oid = m.relnamespace
                      where p.datname = current_database()
                        and p.pid not in (select a.pid from pg_stat_activity a where {migration})) t),
            '[]')))
