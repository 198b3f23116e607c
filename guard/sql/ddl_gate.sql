-- The DDL gate, for those who want it: while a migration is paused or nobody can say, no DDL statement of its sessions
-- begins. An event trigger raises 55P03 (the code that retriers know) or MG001 (aborted) before the statement has taken any
-- lock on a table. It never waits, and asks nothing at all for a session that is not recognised as a migration's.
-- It needs schema migration_guard, and a superuser to make it. Off, at once and without a lock on any table:
--     alter event trigger migration_guard_ddl_gate disable;
-- The function of the trigger is executed in the sessions of others, a superuser's too, so it belongs to the superuser who
-- makes it, and touches nothing of anybody else before it knows the session for a migration's. What it then reads belongs to
-- the owner of schema migration_guard, who may put anything there: that part runs as a role without login, members or rights
-- but to read, and can alter neither the trigger nor its function.

do $$ begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'migration_guard_gate') then
        create role migration_guard_gate nologin;
    end if;
exception when duplicate_object or unique_violation then
    null;  -- made for another database in this very moment
end $$;
do $$ begin  -- whoever could be that role, or owned its schema, could have code of his own run by migrations
    if exists (select from pg_catalog.pg_roles r where r.rolname = 'migration_guard_gate' and (
               r.rolcanlogin or r.rolsuper or exists (
               select from pg_catalog.pg_auth_members m join pg_catalog.pg_roles x on x.oid = m.member
                where m.roleid = r.oid and not x.rolsuper and x.rolname <> current_user))) then
        raise exception using errcode = '55000', message = 'role migration_guard_gate can log in, or has members: '
            'the gate must not run as a role that somebody can be';
    elsif exists (select from pg_catalog.pg_namespace n join pg_catalog.pg_roles x on x.oid = n.nspowner
                   where n.nspname = 'migration_guard_gate' and not x.rolsuper and x.rolname <> current_user) then
        raise exception using errcode = '55000', message = 'schema migration_guard_gate belongs to another role';
    end if;
end $$;
-- Whether a dormant guard lives is seen by its session.
grant pg_read_all_stats to migration_guard_gate;
create schema if not exists migration_guard_gate;
comment on schema migration_guard_gate is 'The DDL gate of migration-guard. Remove with: migration-guard uninstall --ddl-gate';
grant usage on schema migration_guard to migration_guard_gate;
grant usage on schema migration_guard_gate to public;  -- the trigger asks with the rights of the session
grant select on migration_guard.installation, migration_guard.leader, migration_guard.lease, migration_guard.operator_order,
    migration_guard.run, migration_guard.fence, migration_guard.admission, migration_guard.barred, migration_guard.forgotten
    to migration_guard_gate;

-- What the calling session is told: proceed, pause, abort or lost (nobody can say), and for which migration. A session is of
-- the run that it has registered, else of that in its application_name (migration:NAME), else of '*', the unregistered.
-- Unlike read_order() it does not want a session to be registered, since an unmodified tool cannot: where the guard that
-- leads has nothing to say of a migration, which it sees within one poll, the statement may begin.
create or replace function migration_guard_gate.order_here(out name text, out kind text, out because text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '250ms' as $$
declare
    i record;
    own record;
    op record;
    l record;
    o jsonb;
    t timestamptz := clock_timestamp();
    app text := current_setting('application_name');
begin
    kind := 'lost';
    name := case when app like 'migration:_%' then substr(app, 11) else '*' end;
    if current_setting('transaction_isolation') <> 'read committed' then
        because := 'the transaction reads an old snapshot (' || current_setting('transaction_isolation') || ')'; return;
    end if;
    select r.run_id, r.migration into own from migration_guard.run r
        where r.ended_at is null and not r.pooled and r.pid = pg_backend_pid() and r.usename = session_user
          and coalesce(r.backend_start = (select a.backend_start from pg_stat_get_activity(pg_backend_pid()) a), true)
        order by r.run_id desc limit 1;
    name := coalesce(own.migration, name);
    select x.system_identifier, x.database_oid into i from migration_guard.installation x;
    if i.system_identifier is null then
        because := 'schema migration_guard holds no installation'; return;
    elsif i.system_identifier <> (select c.system_identifier from pg_control_system() c) or i.database_oid <>
          (select d.oid from pg_database d where d.datname = current_database()) then
        because := 'schema migration_guard belongs to another database, of which this one is a copy'; return;
    end if;
    select p.kind, p.owner, p.reason into op from migration_guard.operator_order p
        where p.withdrawn_at is null and p.migration in (order_here.name, '*') and p.kind <> 'mute'
          and (p.expires_at is null or p.expires_at > t)
        order by (p.kind = 'abort') desc, (p.kind = 'override') desc, p.order_id desc limit 1;
    select b.because into because from migration_guard.barred b where b.migration = order_here.name and not exists (
        select from migration_guard.forgotten x where x.migration = b.migration and x.upto_run_id >= b.run_id) limit 1;
    select * into l from migration_guard.lease;  -- last: what is newer than the rest is only graver
    t := clock_timestamp();

    if op.kind = 'abort' or op.kind = 'pause' and because is null then
        kind := op.kind; because := op.kind || ' by ' || op.owner || case op.reason when '' then '' else ': ' || op.reason end;
    elsif because is not null then
        kind := 'abort';
    elsif op.kind = 'override' or l.mode = 'observing' then
        kind := 'proceed';
    elsif exists (select from migration_guard.fence f where f.run_id = own.run_id and f.until > t
                      and f.since < t + interval '1 s') then
        kind := 'proceed';  -- a section that a pause must not break: what is due waits for its end
    elsif l.mode is null then
        because := 'there is no lease: no guard has spoken since this server started';
    elsif l.mode = 'released' then
        because := 'the guard ' || l.guard_id || ' was stopped';
    elsif l.timeline <> substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) then
        because := 'the lease is of timeline ' || l.timeline || ', and this server has been promoted since';
    elsif l.mode = 'dormant' then
        -- It does not beat while nobody migrates, but asks the server something each second.
        if exists (select from migration_guard.leader x, pg_stat_get_activity(x.pid) a
                       where starts_with(a.application_name, 'migration_guard/') and a.state_change > t - interval '10 s') then
            kind := 'proceed';
        else
            because := 'the guard ' || l.guard_id || ' was dormant, and is silent now';
        end if;
    elsif l.protocol <> 1 then
        because := 'the guard speaks another protocol (' || l.protocol || ')';
    elsif l.beat_at > t + interval '5 s' then
        because := 'the last beat lies in the future: the clock of the server was set back';
    elsif l.lease_until <= t then
        because := 'the guard ' || l.guard_id || ' has been silent for '
                   || round(extract(epoch from t - l.beat_at)::numeric, 1) || ' s';
    else
        o := coalesce(l.orders -> name, l.orders -> '*');
        kind := coalesce(o ->> 'kind', 'proceed');
        because := o ->> 'because';
    end if;
    -- A run that is registered has its own start to wait for, and the guard wakes for it.
    if kind = 'proceed' and l.mode in ('live', 'dormant') and op.kind is null and not coalesce(l.orders ? name, false)
       and exists (select from migration_guard.run r where r.migration = order_here.name and r.ended_at is null
                   and (not r.pooled or r.last_seen > t - interval '2 min')) then
        kind := 'pause'; because := 'not admitted yet: the guard has not seen every rule';
    end if;
end $$;

-- For a session of anybody else it ends with its first comparison, at the latest with the second.
create or replace function migration_guard_gate.ddl_gate() returns event_trigger
language plpgsql volatile set search_path = pg_catalog, pg_temp as $migration_guard_gate$
declare
    app text;
    told record;
    failure text;
begin
    if session_user <> all (/*roles*/'{}'::text[]) then
        return;
    end if;
    app := current_setting('application_name');
    if app not like all (/*names*/'{}'::text[]) or starts_with(app, 'migration_guard/') then
        return;
    end if;
    begin
        select x.name, x.kind, x.because into told from migration_guard_gate.order_here() x;
    exception when others then  -- the schema is gone, or locked: whatever it is, it fails no other way than is configured
        failure := 'the gate cannot read what the guard says: ' || sqlerrm || ' (' || sqlstate || ')';
        select case when app like 'migration:_%' then substr(app, 11) else '*' end as name, 'lost' as kind,
               failure as because into told;
    end;
    if told.kind = 'proceed' then
        return;
    elsif told.kind = 'abort' then
        raise exception using errcode = 'MG001',
            message = 'migration ' || told.name || ' is aborted: ' || coalesce(told.because, '');
    elsif told.kind = 'pause' then
        raise exception using errcode = '55P03',
            message = 'migration ' || told.name || ' must wait (pause): ' || coalesce(told.because, ''),
            hint = 'Roll back and try again later.';
    elsif /*when_lost*/'closed' = 'open' then
        raise notice 'DDL of migration % begins without a guard: %', told.name, told.because;
        return;
    end if;
    raise exception using errcode = '55P03',
        message = 'migration ' || told.name || ' must wait (lost): ' || coalesce(told.because, ''),
        hint = 'Without a guard: select migration_guard.order_override(...), or as a superuser '
               'alter event trigger migration_guard_ddl_gate disable.';
end $migration_guard_gate$;

alter function migration_guard_gate.order_here() owner to migration_guard_gate;
alter function migration_guard_gate.ddl_gate() owner to current_user;
revoke all on function migration_guard_gate.ddl_gate() from public;
grant execute on function migration_guard_gate.order_here() to public;
drop event trigger if exists migration_guard_ddl_gate;
create event trigger migration_guard_ddl_gate on ddl_command_start execute function migration_guard_gate.ddl_gate();
comment on event trigger migration_guard_ddl_gate is /*note*/'';  -- for migration-guard check
