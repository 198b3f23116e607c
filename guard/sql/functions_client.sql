-- Functions for migrations: register, ask, acknowledge, report, finish. They run with the rights of the caller, but for
-- those that write the caller's own run, which are SECURITY DEFINER with a fixed search_path. None sets
-- synchronous_commit, since it would speak for the caller's own transaction too.

-- The server's timeline, 8 hexadecimal digits, by the WAL file that it writes now (the control file says it too late).
create or replace function migration_guard.timeline() returns text language sql stable
    as $$ select pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) $$;

-- The key of the advisory lock that stands for the pause of a migration, or of all ('*').
create or replace function migration_guard.lock_key(name text) returns bigint language sql immutable strict
    as $$ select pg_catalog.hashtextextended('migration_guard.pause:' || name, 0) $$;

-- The key that a run holds while it lives, so that there is only one run of a name.
create or replace function migration_guard.run_key(name text) returns bigint language sql immutable strict
    as $$ select pg_catalog.hashtextextended('migration_guard.run:' || name, 0) $$;

-- The key that the leading guard holds.
create or replace function migration_guard.leader_key() returns bigint language sql immutable
    as $$ select pg_catalog.hashtextextended('migration_guard.leader', 0) $$;

-- Rights of the caller: the start of a session is hidden from other roles, the owner of these functions included.
create or replace function migration_guard.own_backend_start() returns timestamptz language sql stable
    as $$ select backend_start from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) $$;

-- The caller's own open run of that name, or null. In another role (SET ROLE) the caller's start is hidden from itself.
create or replace function migration_guard.own_run(name text) returns bigint language sql volatile
    as $$ select max(r.run_id) from migration_guard.run r
          where r.migration = name and r.ended_at is null and r.pid = pg_catalog.pg_backend_pid()
            and r.usename = session_user and coalesce(r.backend_start = migration_guard.own_backend_start(), true) $$;

-- An operator's order in words.
create or replace function migration_guard.words(kind text, owner text, reason text) returns text language sql immutable
    as $$ select kind || ' by ' || owner || case reason when '' then '' else ': ' || reason end $$;

-- What a migration is told now; cheap, since it is asked before each batch. VOLATILE, so that each call sees the newest
-- rows; under REPEATABLE READ it could not and says `lost`. `kind`: proceed, pause, abort or lost (nobody can say).
-- `source`: whose word it is (server, operator, guard, observing). `remaining_ms`: for how long the answer can hold.
create or replace function migration_guard.read_order(
    name text, run bigint default null,
    out kind text, out because text, out source text, out epoch bigint, out term bigint, out beat bigint,
    out mode text, out remaining_ms double precision, out run_id bigint, out protocol integer, out on_guard_lost text
) language plpgsql volatile as $$
declare
    home bigint;
    home_database oid;
    r record;
    admitted text;
    barred text;
    op record;
    l record;
    o jsonb;            -- the guard's order for this migration
    t timestamptz := pg_catalog.clock_timestamp();
begin
    kind := 'lost'; source := 'server'; protocol := 1;
    if pg_catalog.pg_is_in_recovery() then
        because := 'this server is a standby'; return;
    elsif pg_catalog.current_setting('transaction_isolation') <> 'read committed' then
        because := 'the transaction reads an old snapshot (' || pg_catalog.current_setting('transaction_isolation')
                   || '); ask under READ COMMITTED'; return;
    end if;
    -- Small queries cost half of one join. The lease is read last: what is newer than the rest is only graver.
    run_id := coalesce(run, migration_guard.own_run(name));
    select i.system_identifier, i.database_oid into home, home_database from migration_guard.installation i;
    select x.migration, x.outcome, x.protocol, x.on_guard_lost, x.registered_at into r from migration_guard.run x where x.run_id = read_order.run_id;
    on_guard_lost := r.on_guard_lost;
    select a.mode into admitted from migration_guard.admission a where a.run_id = read_order.run_id;
    select b.because into barred from migration_guard.barred b where b.migration = name and not exists (
        select from migration_guard.forgotten x where x.migration = b.migration and x.upto_run_id >= b.run_id) limit 1;
    select p.kind, p.owner, p.reason, p.expires_at into op from migration_guard.operator_order p
        where p.withdrawn_at is null and p.migration in (name, '*') and p.kind <> 'mute'
          and (p.expires_at is null or p.expires_at > t)
        order by (p.kind = 'abort') desc, (p.kind = 'override') desc, p.order_id desc limit 1;
    select * into l from migration_guard.lease;
    t := pg_catalog.clock_timestamp();
    epoch := l.epoch; term := l.term; beat := l.beat; mode := l.mode;
    if home is null then
        because := 'schema migration_guard holds no installation; run: migration-guard install'; return;
    elsif home <> (select c.system_identifier from pg_catalog.pg_control_system() c) or home_database <>
          (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()) then
        because := 'this database is a copy: its schema migration_guard belongs to another one'; return;
    end if;

    source := 'operator';
    if op.kind = 'abort' then
        kind := 'abort'; because := migration_guard.words(op.kind, op.owner, op.reason); return;
    elsif barred is not null then
        kind := 'abort'; source := 'guard'; because := barred; return;
    elsif r.outcome is not null then
        kind := 'abort'; source := 'server'; because := 'this run is over (' || r.outcome || ')'; return;
    elsif r.migration <> name then
        source := 'server'; because := 'run ' || run_id || ' is one of ' || r.migration; return;
    elsif op.kind = 'override' then
        kind := 'proceed'; because := migration_guard.words(op.kind, op.owner, op.reason);
        remaining_ms := extract(epoch from op.expires_at - t) * 1000; return;
    elsif op.kind = 'pause' then
        kind := 'pause'; because := migration_guard.words(op.kind, op.owner, op.reason); return;
    end if;

    -- An observing guard orders nothing, and its death stops nobody.
    source := 'observing';
    if coalesce(l.mode, admitted) = 'observing' then
        kind := 'proceed'; because := 'the guard only observes'; return;
    end if;

    source := 'guard';
    if l.mode is null then
        because := 'there is no lease: no guard has spoken since this server started'; return;
    elsif l.protocol <> 1 or r.protocol <> 1 then
        because := 'guard, migration and schema speak different protocols (' || l.protocol || ', '
                   || coalesce(r.protocol::text, '-') || ', 1); upgrade the older'; return;
    elsif l.mode = 'released' then
        because := 'the guard ' || l.guard_id || ' was stopped'; return;
    elsif l.mode = 'dormant' then
        because := 'the guard ' || l.guard_id || ' is dormant; a registration wakes it';
        -- It is not lost before it had the time to wake, nor may a run that would go on without a guard.
        if r.registered_at > t - interval '15 s' then kind := 'pause'; end if;
        return;
    elsif l.timeline <> pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) then
        because := 'the lease is of timeline ' || l.timeline || ', and this server has been promoted since'; return;
    elsif l.beat_at > t + interval '5 s' then
        because := 'the last beat lies in the future: the clock of the server was set back'; return;
    elsif l.lease_until <= t then
        because := 'the guard ' || l.guard_id || ' has been silent for '
                   || pg_catalog.round(extract(epoch from t - l.beat_at)::numeric, 1) || ' s'; return;
    end if;
    remaining_ms := extract(epoch from l.lease_until - t) * 1000;
    o := l.orders -> name;
    if r.migration is null then
        kind := 'pause'; because := 'not registered: select migration_guard.register(' || pg_catalog.quote_literal(name) || ')';
    elsif o is null or (admitted is null and o ->> 'kind' = 'proceed') then
        kind := 'pause'; because := 'not admitted yet: the guard has not seen every rule';
    elsif o ->> 'kind' in ('proceed', 'pause', 'abort') then
        kind := o ->> 'kind'; because := coalesce(o ->> 'because', '');
    else
        because := 'the guard gave an order that is not understood';
    end if;
end $$;

-- Announce a run; returns its id. Refuses a second live run of the name with 55006 unless both are not exclusive, and
-- takes a dead one's place. A run behind a transaction pooler has no session of its own: it counts as alive for two
-- minutes after it was last seen.
create or replace function migration_guard.register(
    name text, on_guard_lost text default 'wait', exclusive boolean default true, pooled boolean default false,
    protocol integer default 1, backend_start timestamptz default migration_guard.own_backend_start()
) returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    k bigint := migration_guard.run_key(register.name);
    own record;
    other record;
    id bigint;
begin
    if register.name ~ '[[:cntrl:]]' then
        -- It will stand in logs, messages and terminals, where such a name could pass for other lines.
        raise exception using errcode = '22023', message = 'a name of a migration holds no control characters';
    end if;
    for own in update migration_guard.run r set outcome = 'gone', outcome_detail = 'its session registered anew',
                   ended_at = clock_timestamp()
               where r.migration = register.name and r.ended_at is null and not r.pooled and r.pid = pg_backend_pid()
                 and r.backend_start is not distinct from register.backend_start
               returning r.exclusive loop
        if own.exclusive then perform pg_advisory_unlock(k); else perform pg_advisory_unlock_shared(k); end if;
    end loop;
    if not register.pooled and not (case when register.exclusive then pg_try_advisory_lock(k)
                                         else pg_try_advisory_lock_shared(k) end) then
        select r.run_id, r.pid, r.usename into other from migration_guard.run r
            where r.migration = register.name and r.ended_at is null order by r.run_id desc limit 1;
        raise exception using errcode = '55006',
            message = format('migration %s is already running (run %s, pid %s, user %s)', register.name,
                             coalesce(other.run_id::text, '?'), coalesce(other.pid::text, '?'), coalesce(other.usename, '?')),
            hint = 'End that run first, or register both with exclusive => false.';
    end if;
    if register.exclusive then
        select r.run_id, r.last_seen into other from migration_guard.run r
            where r.migration = register.name and r.ended_at is null and (
                (r.pooled and r.last_seen > clock_timestamp() - interval '2 min')
                -- Behind a pooler there is no lock to ask for, only the locks of others to see.
                or (register.pooled and not r.pooled and exists (
                    select from pg_locks l where l.locktype = 'advisory' and l.objsubid = 1 and l.pid = r.pid
                        and ((l.classid::bigint << 32) | l.objid::bigint) = k
                        and l.database = (select d.oid from pg_database d where d.datname = current_database()))))
            limit 1;
        if found then
            if not register.pooled then perform pg_advisory_unlock(k); end if;
            raise exception using errcode = '55006',
                message = format('migration %s is already running (run %s, last seen %s)', register.name, other.run_id, other.last_seen),
                hint = 'End that run first, or register both with exclusive => false.';
        end if;
        update migration_guard.run r set outcome = 'gone', ended_at = clock_timestamp(),
                outcome_detail = 'its session had ended when the next run began'
            where r.migration = register.name and r.ended_at is null;
    end if;
    insert into migration_guard.run (migration, pid, backend_start, usename, application_name, on_guard_lost, pooled,
                                     exclusive, protocol)
    values (register.name, pg_backend_pid(), register.backend_start, session_user,
            current_setting('application_name'), register.on_guard_lost, register.pooled, register.exclusive,
            register.protocol)
    returning run_id into id;
    perform pg_notify('migration_guard', 'register ' || id);
    return id;
end $$;

-- The run has seen the orders of this epoch and keeps to them. Zero only says that it is alive. False where that was not
-- written: the run is over, or somebody's stuck transaction has locked its row, which must not hold up the migration.
create or replace function migration_guard.acknowledge(run bigint, epoch bigint) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    update migration_guard.run r set last_seen = clock_timestamp(),
        acknowledged_at = case when acknowledge.epoch > r.acknowledged_epoch then clock_timestamp() else r.acknowledged_at end,
        acknowledged_epoch = greatest(r.acknowledged_epoch, acknowledge.epoch)
    where r.run_id in (select x.run_id from migration_guard.run x
                       where x.run_id = acknowledge.run and x.usename = session_user and x.ended_at is null
                       for update skip locked);
    return found;
end $$;

-- How far the run is; totals, not increments, so that a repeated call does no harm. False as above.
create or replace function migration_guard.progress(run bigint, rows_done bigint, batches_done bigint, note text default null)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    update migration_guard.run r set last_seen = clock_timestamp(), rows_done = progress.rows_done,
        batches_done = progress.batches_done, note = coalesce(left(progress.note, 500), r.note)
    where r.run_id in (select x.run_id from migration_guard.run x
                       where x.run_id = progress.run and x.usename = session_user and x.ended_at is null
                       for update skip locked);
    return found;
end $$;

-- The end of a run: done, failed or aborted. Says whether it was still open.
create or replace function migration_guard.finish(run bigint, outcome text default 'done', detail text default null)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    ended record;
begin
    update migration_guard.run r set outcome = finish.outcome, outcome_detail = left(finish.detail, 2000),
        ended_at = clock_timestamp(), last_seen = clock_timestamp()
    where r.run_id = finish.run and r.usename = session_user and r.ended_at is null
    returning r.migration, r.exclusive, r.pid, r.pooled into ended;
    if not found then
        return false;
    end if;
    if not ended.pooled and ended.pid = pg_backend_pid() then
        if ended.exclusive then perform pg_advisory_unlock(migration_guard.run_key(ended.migration));
        else perform pg_advisory_unlock_shared(migration_guard.run_key(ended.migration)); end if;
    end if;
    perform pg_notify('migration_guard', 'finish ' || finish.run);
    return true;
end $$;

-- The same by name, for scripts: the caller's own open run.
create or replace function migration_guard.finish(name text, outcome text default 'done', detail text default null)
returns boolean language sql volatile
    as $$ select coalesce(migration_guard.finish(migration_guard.own_run(name), outcome, detail), false) $$;

-- For a batch's own transaction: returns where the migration may go on, else raises and never waits. 55P03 while paused
-- or lost (the code that retriers know), MG001 when aborted, MG002 where the transaction reads an old snapshot.
create or replace function migration_guard.require_proceed(name text, run bigint default null) returns void
language plpgsql volatile as $$
declare
    o record;
begin
    if pg_catalog.current_setting('transaction_isolation') <> 'read committed' then
        raise exception using errcode = 'MG002', message = 'require_proceed reads an old snapshot under '
            || pg_catalog.current_setting('transaction_isolation'), hint = 'Use READ COMMITTED.';
    end if;
    select * into o from migration_guard.read_order(name, run);
    if o.kind = 'proceed' or (o.kind = 'lost' and o.on_guard_lost = 'proceed') then
        return;
    elsif o.kind = 'abort' then
        raise exception using errcode = 'MG001', message = 'migration ' || name || ' is aborted: ' || o.because;
    end if;
    raise exception using errcode = '55P03', message = 'migration ' || name || ' must wait (' || o.kind || '): ' || o.because,
        hint = 'Roll back and try again later.';
end $$;

-- For a batch's own transaction, never waits: true where it may begin. It then shares the lock of the pause until its
-- transaction ends, so that the guard can prove that no batch is in flight.
create or replace function migration_guard.try_batch(name text, run bigint default null) returns boolean
language plpgsql volatile as $$
begin
    return pg_catalog.pg_try_advisory_xact_lock_shared(migration_guard.lock_key('*'))
       and pg_catalog.pg_try_advisory_xact_lock_shared(migration_guard.lock_key(name))
       and (select o.kind = 'proceed' or (o.kind = 'lost' and o.on_guard_lost is not distinct from 'proceed')
            from migration_guard.read_order(name, run) o);
end $$;

-- For SQL scripts in autocommit: registers where needed and waits until the migration may go on, with no lock and no
-- snapshot held. Fails (2D000) inside a transaction, and raises MG001 when aborted. It cannot be SECURITY DEFINER or
-- have a SET clause: a procedure with either may not commit.
create or replace procedure migration_guard.checkpoint(name text, poll interval default interval '1 s')
language plpgsql as $$
declare
    o record;
    id bigint;
    acknowledged bigint := 0;
    told text := '';
    began timestamptz := pg_catalog.clock_timestamp();
begin
    commit;  -- before anything else: inside a transaction this is where it fails
    set transaction isolation level read committed;
    perform pg_catalog.set_config('synchronous_commit', 'local', true);
    id := coalesce(migration_guard.own_run(name), migration_guard.register(name));
    loop
        select * into o from migration_guard.read_order(name, id);
        if o.epoch > acknowledged and migration_guard.acknowledge(id, o.epoch) then
            acknowledged := o.epoch;
        end if;
        if o.kind = 'abort' then
            raise exception using errcode = 'MG001', message = 'migration ' || name || ' is aborted: ' || o.because;
        end if;
        commit;
        -- A guard that is only dormant is given time to wake.
        exit when o.kind = 'proceed' or (o.kind = 'lost' and o.on_guard_lost = 'proceed'
            and (o.mode is distinct from 'dormant' or pg_catalog.clock_timestamp() > began + interval '15 s'));
        if o.kind || o.because <> told and (o.kind <> 'lost' or told not like 'lost%') then
            told := o.kind || o.because;
            raise notice 'migration % waits (%): %', name, o.kind, o.because;
            if pg_catalog.current_setting('statement_timeout') <> '0' then
                raise notice 'statement_timeout (%) goes on counting while this waits', pg_catalog.current_setting('statement_timeout');
            end if;
        end if;
        perform pg_catalog.pg_sleep(extract(epoch from poll));
        commit;
        set transaction isolation level read committed;
        perform pg_catalog.set_config('synchronous_commit', 'local', true);
    end loop;
end $$;
