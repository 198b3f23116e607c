-- Who is here: runs that have not ended (or did of late), sessions that look like a migration's, what operators
-- ordered and forgave; one row. Times as Unix seconds.
--
-- A run's session is the one with its pid, role and start; without pg_read_all_stats (a part of pg_monitor) no start
-- is shown and every session would look gone. Who registered in another role (SET ROLE) could not see its own start; its
-- session is then the one with its pid that is older than the registration.
--
-- A session that is recognised and named `migration:NAME` is a member of the open run of NAME in the same role; behind a
-- transaction pooler nobody can tell. The server cuts a name at 63 bytes, and writes letters beyond ASCII in a way of its
-- own: such a name is compared with that of the session that has registered.
with run as materialized (
  select r.*, a.pid is not null as here, a.application_name as name_now, a.backend_start as start_now, a.state,
         a.state_change, a.xact_start, a.query, a.wait_event, a.backend_xid is not null as writes,
         a.backend_xmin is not null as looks_back
    from migration_guard.run r
    -- The view pg_stat_activity would be built of all sessions to find these.
    left join lateral (select * from pg_stat_get_activity(r.pid) x where r.outcome is null) a
           on a.pid = r.pid and pg_get_userbyid(a.usesysid) = r.usename
          and coalesce(a.backend_start = r.backend_start, a.backend_start <= r.registered_at)
   where r.outcome is null
      or r.ended_at > clock_timestamp() - make_interval(secs => %(ended_within)s)
      or r.run_id = any (%(open)s::bigint[])
),
recognised as materialized (
  select a.*
    from pg_stat_activity a
   where a.datname = current_database()
     and a.backend_type = 'client backend'
     and not starts_with(a.application_name, 'migration_guard/')
     and cardinality(%(roles)s::text[]) + cardinality(%(names)s::text[]) > 0
     and (cardinality(%(roles)s::text[]) = 0 or a.usename = any (%(roles)s::text[]))
     and (cardinality(%(names)s::text[]) = 0 or a.application_name like any (%(names)s::text[]))
     and not exists (select from run r where r.pid = a.pid and r.here and r.outcome is null)
),
member as materialized (
  select r.run_id, c.*
    from recognised c
    join lateral (select max(x.run_id) as run_id
                    from run x
                   where x.here and x.outcome is null and not x.pooled and x.usename = c.usename
                     and (c.application_name = left('migration:' || x.migration, 63)
                          or c.application_name = x.name_now and starts_with(x.name_now, 'migration:')
                             and x.migration ~ '[^ -~]')) r on r.run_id is not null
),
stranger as (
  select a.pid, extract(epoch from a.backend_start) as backend_start_wall, a.usename, a.application_name,
         coalesce(a.state, '') as state
    from recognised a
   where not exists (select from member m where m.pid = a.pid)
     -- One that has just logged in is perhaps about to register; unless it has begun, or waits, to change something.
     and (a.backend_start < clock_timestamp() - interval '1 s'
          or exists (select from pg_locks l
                      where l.pid = a.pid and l.locktype = 'relation' and l.mode <> 'AccessShareLock'
                        and not exists (select from pg_class c where c.oid = l.relation
                                           and c.relnamespace = 'migration_guard'::regnamespace)))
     -- An idle one does nothing; the pause between two statements of a script is not idleness yet.
     and (a.state is distinct from 'idle' or a.state_change > clock_timestamp() - interval '10 s')
     -- A run that has said its end takes a moment to leave; only what its session begins afterwards is other work.
     and not exists (select from run r
                      where r.ended_at is not null and r.pid = a.pid and r.usename = a.usename
                        and coalesce(r.backend_start = a.backend_start, a.backend_start <= r.registered_at)
                        and (a.state = 'idle' or a.query_start <= r.ended_at))
   order by a.pid
),
at_work as materialized (
  select a.run_id, true as registered, a.pid, a.start_now as backend_start, a.usename, a.name_now as application_name,
         a.state, a.state_change, a.xact_start, a.wait_event, a.writes, a.looks_back, a.query
    from run a
   where a.here
  union all
  select a.run_id, false, a.pid, a.backend_start, a.usename, a.application_name,
         a.state, a.state_change, a.xact_start, a.wait_event, a.backend_xid is not null, a.backend_xmin is not null,
         a.query
    from member a
),
holder as materialized (
  -- pg_locks costs by what is locked: it is read for who has done nothing in a transaction for a second. Bounded, so that
  -- the planner does not think this worth a compilation (jit), which takes longer than all the rest.
  select w.pid,
         (select 'locks on ' || string_agg(distinct l.relation::regclass::text, ', ')
            from pg_locks l
           where l.pid = w.pid and l.granted and l.locktype = 'relation' and l.relation >= 16384
             and l.database = (select d.oid from pg_database d where d.datname = current_database())) as locks
    from (select x.pid
            from at_work x
           where x.state = 'idle in transaction' and x.state_change < clock_timestamp() - interval '1 s'
           limit 50) w
),
session as materialized (
  select m.run_id, m.registered, m.pid,
         jsonb_build_object(
           'pid', m.pid, 'backend_start_wall', extract(epoch from m.backend_start), 'usename', m.usename,
           'application_name', m.application_name, 'state', coalesce(m.state, ''), 'run_id', m.run_id,
           'in_state', coalesce(extract(epoch from clock_timestamp() - m.state_change), 0),
           'at_work', coalesce(extract(epoch from clock_timestamp() - m.xact_start), 0),
           'writes', m.writes,
           'asks', m.query ~* '^\s*(select|call)\M[^;]*\mmigration_guard\.[^;]*;?\s*$',
           'sleeps', coalesce(m.wait_event = 'PgSleep', false),
           'gentle', case when m.state = 'active' then migration_guard.let_finish(m.query) else '' end,
           'holds', case when h.pid is null then '' else
             concat_ws(' and ', case when m.writes then 'changes' end, case when m.looks_back then 'a snapshot' end,
                       h.locks) end) as shown
    from at_work m left join holder h on h.pid = m.pid
)
select pg_has_role('pg_read_all_stats', 'usage') as permitted,
       extract(epoch from clock_timestamp())::float8 as server_wall,
       coalesce(
         (select jsonb_agg(
                   jsonb_build_object(
                     'run_id', r.run_id, 'migration', r.migration,
                     'registered_wall', extract(epoch from r.registered_at),
                     'last_seen_wall', extract(epoch from r.last_seen), 'acknowledged_epoch', r.acknowledged_epoch,
                     'rows_done', r.rows_done, 'batches_done', r.batches_done, 'note', r.note,
                     'outcome', r.outcome, 'pooled', r.pooled,
                     'fence', (select jsonb_build_object('what', f.what, 'since_wall', extract(epoch from f.since),
                                                         'until_wall', extract(epoch from f.until))
                                 from migration_guard.fence f where f.run_id = r.run_id and r.here),
                     'session', (select x.shown from session x where x.run_id = r.run_id and x.registered),
                     'members', (select coalesce(jsonb_agg(x.shown order by x.pid), '[]')
                                   from session x where x.run_id = r.run_id and not x.registered))
                   order by r.run_id)
            from run r),
         '[]') as runs,
       coalesce((select jsonb_agg(to_jsonb(s)) from stranger s), '[]') as strangers,
       coalesce(
         (select jsonb_agg(
                   jsonb_build_object(
                     'order_id', o.order_id, 'kind', o.kind, 'migration', o.migration, 'owner', o.owner,
                     'reason', o.reason, 'created_wall', extract(epoch from o.created_at),
                     'expires_wall', extract(epoch from o.expires_at), 'rule', o.rule)
                   order by o.order_id)
            from migration_guard.operator_order o
           where o.withdrawn_at is null and (o.expires_at is null or o.expires_at > clock_timestamp())),
         '[]') as operator_orders,
       coalesce(
         (select jsonb_agg(jsonb_build_array(f.migration, f.upto) order by f.migration)
            from (select migration, max(upto_run_id) as upto from migration_guard.forgotten group by migration) f),
         '[]') as forgotten
