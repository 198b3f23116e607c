-- Who has been at work for how long, who holds back the oldest xid, how many connections are used, and what sessions
-- wait for; one row.
--
-- Only what is asked for is looked at. Ages in seconds and in transactions. The guard's own sessions do not count, but
-- for connections, of which they use some. The role needs pg_read_all_stats (a part of pg_monitor): without it the view
-- shows NULL instead of failing.
-- All parts look at one copy of the sessions: to read them is what costs, above all where there are hundreds.
with session as materialized (
  select a.pid, a.datid, a.usesysid, a.application_name, a.state, a.backend_type, a.wait_event_type, a.xact_start,
         a.backend_xid, a.backend_xmin, starts_with(a.application_name, 'migration_guard/') as own,
         a.datid = (select d.oid from pg_database d where d.datname = current_database()) as here
    from pg_stat_get_activity(null) a
)
select pg_has_role('pg_read_all_stats', 'usage') as permitted,
       case when %(transaction)s::bool then
         (select jsonb_build_object('value', extract(epoch from clock_timestamp() - a.xact_start), 'pid', a.pid,
                                    'usename', pg_get_userbyid(a.usesysid), 'name', a.application_name,
                                    'state', a.state)
            from session a
           where a.here and a.backend_type = 'client backend' and a.xact_start is not null and not a.own
           order by a.xact_start, a.pid
           limit 1)
       end as longest,
       case when %(xmin)s::bool then
         (select coalesce(jsonb_agg(to_jsonb(h)), '[]')
            from (-- A walsender's xmin is that of a standby with hot_standby_feedback and no slot; it is of no database.
                  select case a.backend_type when 'walsender' then 'standby' else 'session' end as kind,
                         a.pid, pg_get_userbyid(a.usesysid) as usename, a.application_name as name, a.state,
                         greatest(age(a.backend_xid), age(a.backend_xmin)) as age
                    from session a
                   where coalesce(a.backend_xid, a.backend_xmin) is not null
                     and (a.here or coalesce(a.datid, 0) = 0 or a.backend_type = 'walsender') and not a.own
                  union all
                  select 'slot', null, null, s.slot_name, null, greatest(age(s.xmin), age(s.catalog_xmin))
                    from pg_replication_slots s
                   where coalesce(s.xmin, s.catalog_xmin) is not null
                  union all
                  select 'prepared', null, p.owner, p.gid, null, age(p.transaction)
                    from pg_prepared_xacts p
                   where p.database = current_database()
                  order by 6 desc, 1, 4
                  limit 1) h)
       end as holders,
       case when %(connections)s::bool then
         (select jsonb_build_object(
                   'used', count(*),
                   -- reserved_connections came with 16.
                   'most', current_setting('max_connections')::int
                           - current_setting('superuser_reserved_connections')::int
                           - coalesce(current_setting('reserved_connections', true)::int, 0))
            from session a
           where a.backend_type = 'client backend')
       end as connections,
       case when %(active)s::bool then
         (select count(*)
            from session a
           where a.here and a.backend_type = 'client backend' and a.state = 'active' and not a.own)
       end as active,
       case when %(waiting)s::bool then
         (select coalesce(jsonb_object_agg(w.wait_event_type, w.sessions), '{}')
            from (select a.wait_event_type, count(*) as sessions
                    from session a
                   where a.here and a.backend_type = 'client backend' and a.state = 'active'
                     and a.wait_event_type is not null and not a.own
                   group by a.wait_event_type) w)
       end as waiting
