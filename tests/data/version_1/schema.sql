-- migration-guard, schema version 1.
-- For a superuser, once the roles are there:
--   grant pg_monitor to migration_guard_guard;  -- without it PostgreSQL hides other sessions and all replication lag
--   grant pg_signal_backend to migration_guard_guard;  -- to cancel a migration that blocks the application

begin;
set local lock_timeout = '3s';

-- Schema migration_guard, version 1: the tables through which a guard, migrations and operators speak to each other.
-- It may be run again at any time and changes nothing then. Each row has one writer, and the guard never writes a row
-- that a client or an operator can lock: a stuck transaction of theirs cannot hold up a pause. Hence no foreign keys
-- between tables of different writers either (their check would lock the row that it refers to).
-- Tables marked are UNLOGGED where the schema was installed with --unlogged.

create schema if not exists migration_guard;
comment on schema migration_guard is 'The contract between a migration guard and migrations. Remove with: migration-guard uninstall';

-- Which database this schema was made in. In a restored or copied one the stamp differs, and all rows are foreign.
create table if not exists migration_guard.installation (
    only_row          boolean primary key default true check (only_row),  -- prevents a second row
    version           integer not null,   -- of this schema
    protocol          integer not null,   -- of what guard and migrations say to each other
    system_identifier bigint  not null,   -- of the cluster
    database_oid      oid     not null,   -- of the database: a copy in the same cluster has another
    database_name     text    not null,   -- for people; a renamed database is still the same
    installed_at      timestamptz not null default clock_timestamp()
);

-- Which guard leads. The term grows with each change, and every write of a guard checks it: an old guard is fenced.
create table if not exists migration_guard.leader (
    only_row boolean primary key default true check (only_row),           -- prevents two leaders
    term     bigint not null,
    guard_id text not null,
    pid      integer not null,            -- of the session with the leader's lock; another session may not write
    since    timestamptz not null default clock_timestamp()
);

-- The guard's word. UNLOGGED on purpose: it is empty after a crash or a promotion, unreadable on a standby and in no
-- publication, and empty means lost. No index but the key: updates stay in the page (HOT) and cost some 50 bytes of WAL.
create unlogged table if not exists migration_guard.lease (
    only_row          boolean primary key default true check (only_row),  -- prevents two leases
    guard_id          text not null,
    term              bigint not null,
    epoch             bigint not null,    -- grows with each change of the orders
    beat              bigint not null,
    beat_at           timestamptz not null,
    lease_until       timestamptz not null,
    timeline          text not null check (timeline ~ '^[0-9A-F]{8}$'),
    system_identifier bigint not null,
    protocol          integer not null,
    mode              text not null check (mode in ('live', 'dormant', 'observing', 'released')),
    orders            jsonb not null check (jsonb_typeof(orders) = 'object')
        -- {"NAME": {"kind": "proceed|pause|abort", "because": "...", "since": unix seconds}}
);

-- What people ordered. It is never changed but for its withdrawal.
create table if not exists migration_guard.operator_order (
    order_id     bigint generated always as identity primary key,
    kind         text not null check (kind in ('pause', 'abort', 'override', 'mute')),
    migration    text not null check (length(migration) between 1 and 200),  -- '*' means all
    rule         text check ((rule is not null) = (kind = 'mute')),          -- prevents a mute of nothing
    owner        text not null check (owner <> ''),                          -- prevents an order by nobody
    reason       text not null default '',
    created_at   timestamptz not null default clock_timestamp(),
    expires_at   timestamptz,
    withdrawn_at timestamptz,
    withdrawn_by text,
    check ((withdrawn_at is null) = (withdrawn_by is null))
);
-- Keeps the look before each batch short however many orders the past holds.
create index if not exists operator_order_standing on migration_guard.operator_order (migration)
    where withdrawn_at is null;

-- One row for each execution of a migration; written by its own session through the functions below.
create table if not exists migration_guard.run (
    run_id             bigint generated always as identity primary key,
    migration          text not null check (migration <> '*' and length(migration) between 1 and 200),
    pid                integer not null,
    backend_start      timestamptz,       -- with the pid: tells the session from a later one with the same pid
    usename            text not null,
    application_name   text not null default '',
    registered_at      timestamptz not null default clock_timestamp(),
    last_seen          timestamptz not null default clock_timestamp(),
    rows_done          bigint not null default 0,
    batches_done       bigint not null default 0,
    note               text not null default '',
    acknowledged_epoch bigint not null default 0,
    acknowledged_at    timestamptz,
    outcome            text check (outcome in ('done', 'failed', 'aborted', 'gone')),
    outcome_detail     text,
    ended_at           timestamptz,
    on_guard_lost      text not null default 'wait' check (on_guard_lost in ('wait', 'proceed', 'fail')),
    pooled             boolean not null default false,  -- behind a transaction pooler: the session is not its own
    exclusive          boolean not null default true,
    protocol           integer not null default 1,
    check ((outcome is null) = (ended_at is null))
);
create index if not exists run_open on migration_guard.run (migration) where ended_at is null;

-- The guard has seen every rule fresh, or settled in its silence, and let the run begin.
create table if not exists migration_guard.admission (
    run_id    bigint primary key,
    migration text not null,
    at        timestamptz not null default clock_timestamp(),
    epoch     bigint not null,
    term      bigint not null,
    mode      text not null check (mode in ('live', 'observing'))
);

-- Runs after which the migration may not go on until a person forgets them.
create table if not exists migration_guard.barred (
    run_id    bigint primary key,
    migration text not null,
    because   text not null,
    at        timestamptz not null default clock_timestamp()
);
create index if not exists barred_migration on migration_guard.barred (migration);  -- looked at before each batch

-- The operator's word that all is forgiven up to this run.
create table if not exists migration_guard.forgotten (
    migration   text not null,
    upto_run_id bigint not null,
    owner       text not null check (owner <> ''),
    at          timestamptz not null default clock_timestamp()
);
create index if not exists forgotten_migration on migration_guard.forgotten (migration);

-- The claim to the one rollback of a run: the key prevents a second. A start without an end is a question to a human.
create table if not exists migration_guard.rollback (
    run_id      bigint primary key,
    migration   text not null,
    claimed_at  timestamptz not null default clock_timestamp(),
    term        bigint not null,
    because     text not null,
    command     text[] not null,
    finished_at timestamptz,
    outcome     text,
    detail      text,
    check ((finished_at is null) = (outcome is null))
);

-- What status and explain read: written on change, so that the beaten row stays small.
create table if not exists migration_guard.report (
    only_row boolean primary key default true check (only_row),           -- prevents two reports
    report   jsonb not null,
    at       timestamptz not null default clock_timestamp()
);

-- The audit trail: only ever added to by the guard, and cut by age.
create table if not exists migration_guard.event (
    event_id  bigint generated always as identity primary key,
    at        timestamptz not null default clock_timestamp(),
    kind      text not null,
    migration text not null,
    run_id    bigint,
    because   text not null,
    phase     text not null,
    epoch     bigint not null,
    term      bigint not null,
    guard_id  text not null,
    payload   jsonb not null default '{}'
);
-- A guard that starts looks for the last state of each run without reading the whole trail.
create index if not exists event_state on migration_guard.event (migration, run_id, event_id)
    where payload ? 'state';

-- Ids never come twice, not even after uninstall and install: the daemon's journal and the hook's state files outlive the
-- schema, and "run 7 was rolled back" must not be read of another run 7. So they begin at the minutes since 2020.
select pg_catalog.setval('migration_guard.run_run_id_seq', extract(epoch from now())::bigint / 60 - 26297280, false)
    from migration_guard.run_run_id_seq where not is_called and last_value = 1;
select pg_catalog.setval('migration_guard.event_event_id_seq', extract(epoch from now())::bigint / 60 - 26297280, false)
    from migration_guard.event_event_id_seq where not is_called and last_value = 1;

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

-- Functions for operators: one line each by hand, with or without a guard. '*' as the name means every migration.
-- They run with the rights of the caller and write rows of operators only.

create or replace function migration_guard.order_pause(name text, owner text, reason text default '', expires timestamptz default null)
returns bigint language sql volatile
    as $$ insert into migration_guard.operator_order (kind, migration, owner, reason, expires_at)
          values ('pause', name, owner, reason, expires) returning order_id $$;

-- Abort beats override.
create or replace function migration_guard.order_abort(name text, owner text, reason text default '', expires timestamptz default null)
returns bigint language sql volatile
    as $$ insert into migration_guard.operator_order (kind, migration, owner, reason, expires_at)
          values ('abort', name, owner, reason, expires) returning order_id $$;

-- Go on whatever the guard says, and where there is none; an hour unless told otherwise.
create or replace function migration_guard.order_override(name text, owner text, reason text default '',
    expires timestamptz default clock_timestamp() + interval '1 hour')
returns bigint language sql volatile
    as $$ insert into migration_guard.operator_order (kind, migration, owner, reason, expires_at)
          values ('override', name, owner, reason, expires) returning order_id $$;

-- The guard does not listen to one rule for a time.
create or replace function migration_guard.order_mute(name text, rule text, owner text, reason text default '',
    expires timestamptz default clock_timestamp() + interval '1 hour')
returns bigint language sql volatile
    as $$ insert into migration_guard.operator_order (kind, migration, rule, owner, reason, expires_at)
          values ('mute', name, rule, owner, reason, expires) returning order_id $$;

-- Take back orders of one kind for this name; says how many there were.
create or replace function migration_guard.withdraw(name text, kind text, owner text) returns bigint language sql volatile
    as $$ with withdrawn as (
              update migration_guard.operator_order o set withdrawn_at = pg_catalog.clock_timestamp(), withdrawn_by = withdraw.owner
              where o.migration = withdraw.name and o.kind = withdraw.kind and o.withdrawn_at is null
                and (o.expires_at is null or o.expires_at > pg_catalog.clock_timestamp())
              returning 1)
          select pg_catalog.count(*) from withdrawn $$;

-- Let a migration that was aborted or rolled back be run again; says up to which run.
create or replace function migration_guard.forget(name text, owner text) returns bigint language sql volatile
    as $$ insert into migration_guard.forgotten (migration, upto_run_id, owner)
          select forget.name, greatest((select max(r.run_id) from migration_guard.run r where r.migration = forget.name),
                                       (select max(b.run_id) from migration_guard.barred b where b.migration = forget.name), 0),
                 forget.owner
          returning upto_run_id $$;

-- Functions for the guard. Every write first shares the lock on the leader's row with the writer's own term and session:
-- a guard whose term was passed gets MG004, one whose session is not (or no longer) the leader's MG005; neither writes.

create or replace function migration_guard.guard_check_term(guard_id text, term bigint) returns void
language plpgsql volatile as $$
declare
    found_pid integer;
begin
    select l.pid into found_pid from migration_guard.leader l
        where l.term = guard_check_term.term and l.guard_id = guard_check_term.guard_id for share;
    if not found and exists (select from migration_guard.leader) then
        raise exception using errcode = 'MG004', message = 'a newer guard leads this database: term ' || guard_check_term.term
            || ' was passed';
    elsif not found then
        -- Deleted by hand: nobody has passed this guard, and whoever has the lock may lead again.
        raise exception using errcode = 'MG005', message = 'the row of migration_guard.leader is gone';
    elsif found_pid <> pg_catalog.pg_backend_pid() then
        raise exception using errcode = 'MG005', message = 'this session does not lead: the leader''s lock was lost with its session';
    end if;
end $$;

-- Try to lead: the lock of the session first, by try only, then a new term. Null where another session has the lock.
create or replace function migration_guard.guard_lead(guard_id text) returns bigint language plpgsql volatile as $$
declare
    new_term bigint;
begin
    perform pg_catalog.set_config('synchronous_commit', 'local', true);
    if not pg_catalog.pg_try_advisory_lock(migration_guard.leader_key()) then
        return null;
    end if;
    insert into migration_guard.leader as l (term, guard_id, pid)
        -- Where the row was deleted by hand a term must not come twice; what was said last under one is still there.
        values (1 + greatest((select x.term from migration_guard.lease x),
                             (select x.term from migration_guard.event x order by x.event_id desc limit 1), 0),
                guard_lead.guard_id, pg_catalog.pg_backend_pid())
        on conflict (only_row) do update set term = l.term + 1, guard_id = excluded.guard_id, pid = excluded.pid,
            since = pg_catalog.clock_timestamp()
        returning l.term into new_term;
    return new_term;
end $$;

-- Beat, orders, events, admissions in one statement. `lease` and `rests_for` in seconds. Returns the last event's id, or 0.
-- What a dead line or a frozen server held back is delivered when it heals, long after the guard has given it up; it must
-- not be a lease then. So it raises MG006 after `not_after`.
create or replace function migration_guard.guard_publish(
    guard_id text, term bigint, mode text, epoch bigint, orders jsonb, lease double precision, rests_for double precision,
    events jsonb default '[]', admitted bigint[] default '{}', barred jsonb default '[]', report jsonb default null,
    not_after timestamptz default null
) returns bigint language plpgsql volatile as $$
#variable_conflict use_column
declare
    t timestamptz;
    last_event bigint := 0;
    new_beat bigint;
begin
    perform pg_catalog.set_config('synchronous_commit', 'local', true);
    perform migration_guard.guard_check_term(guard_publish.guard_id, guard_publish.term);
    if pg_catalog.clock_timestamp() > guard_publish.not_after then
        raise exception using errcode = 'MG006', message = 'this word of the guard comes too late: it was held up on its way';
    end if;
    if pg_catalog.jsonb_array_length(guard_publish.events) > 0 then
        with written as (
            insert into migration_guard.event (kind, migration, run_id, because, phase, epoch, term, guard_id, payload)
            select e ->> 'kind', e ->> 'migration', (e ->> 'run_id')::bigint, e ->> 'because', e ->> 'phase',
                   guard_publish.epoch, guard_publish.term, guard_publish.guard_id, coalesce(e -> 'payload', '{}')
            from pg_catalog.jsonb_array_elements(guard_publish.events) with ordinality as x (e, n) order by n
            returning event_id)
        select max(event_id) into last_event from written;
    end if;
    if guard_publish.admitted <> '{}' then
        insert into migration_guard.admission (run_id, migration, epoch, term, mode)
        select r.run_id, r.migration, guard_publish.epoch, guard_publish.term,
               case guard_publish.mode when 'observing' then 'observing' else 'live' end
        from migration_guard.run r where r.run_id = any (guard_publish.admitted)
        on conflict (run_id) do update set mode = excluded.mode, epoch = excluded.epoch, term = excluded.term
            where admission.mode is distinct from excluded.mode;  -- each beat says it again, and WAL is not free
    end if;
    if pg_catalog.jsonb_array_length(guard_publish.barred) > 0 then
        insert into migration_guard.barred (run_id, migration, because)
        select (b ->> 0)::bigint, b ->> 1, b ->> 2 from pg_catalog.jsonb_array_elements(guard_publish.barred) b
        on conflict do nothing;
    end if;
    if guard_publish.report is not null then
        insert into migration_guard.report (report) values (guard_publish.report)
        on conflict (only_row) do update set report = excluded.report, at = pg_catalog.clock_timestamp();
    end if;
    t := pg_catalog.clock_timestamp();
    insert into migration_guard.lease as l (guard_id, term, epoch, beat, beat_at, lease_until, timeline, system_identifier,
                                            protocol, mode, orders)
    select guard_publish.guard_id, guard_publish.term, guard_publish.epoch, 1, t,
           t + pg_catalog.make_interval(secs => guard_publish.lease - greatest(guard_publish.rests_for, 0)),
           migration_guard.timeline(), i.system_identifier, 1, guard_publish.mode, guard_publish.orders
    from migration_guard.installation i
    on conflict (only_row) do update set guard_id = excluded.guard_id, term = excluded.term, epoch = excluded.epoch,
        beat = l.beat + 1, beat_at = excluded.beat_at, lease_until = excluded.lease_until, timeline = excluded.timeline,
        system_identifier = excluded.system_identifier, protocol = excluded.protocol, mode = excluded.mode,
        orders = excluded.orders
    returning l.beat into new_beat;
    if guard_publish.mode <> 'dormant' then
        -- WAL that a standby has to replay: without any its lag cannot be seen.
        perform pg_catalog.pg_logical_emit_message(false, 'migration_guard', guard_publish.term || ' ' || new_beat);
    end if;
    return last_event;
end $$;

-- The one rollback of a run; false where it was claimed before. Waits for the standbys that commits have to wait for.
create or replace function migration_guard.guard_claim_rollback(guard_id text, term bigint, run bigint, name text,
    because text, command text[]) returns boolean language plpgsql volatile as $$
begin
    perform pg_catalog.set_config('synchronous_commit', 'on', true);
    perform migration_guard.guard_check_term(guard_claim_rollback.guard_id, guard_claim_rollback.term);
    insert into migration_guard.rollback (run_id, migration, term, because, command)
        values (run, name, guard_claim_rollback.term, guard_claim_rollback.because, guard_claim_rollback.command)
        on conflict do nothing;
    return found;
end $$;

create or replace function migration_guard.guard_finish_rollback(guard_id text, term bigint, run bigint, outcome text, detail text)
returns boolean language plpgsql volatile as $$
begin
    perform pg_catalog.set_config('synchronous_commit', 'local', true);
    perform migration_guard.guard_check_term(guard_finish_rollback.guard_id, guard_finish_rollback.term);
    update migration_guard.rollback r set finished_at = pg_catalog.clock_timestamp(), outcome = guard_finish_rollback.outcome,
        detail = guard_finish_rollback.detail where r.run_id = run and r.finished_at is null;
    return found;
end $$;

-- Cut the trail by age, never to less than a day. SECURITY DEFINER: the guard's role itself can delete no event.
create or replace function migration_guard.guard_prune(keep interval) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    n bigint;
begin
    perform set_config('synchronous_commit', 'local', true);
    delete from migration_guard.event e where e.at < clock_timestamp() - greatest(keep, interval '1 day')
        and not exists (select from migration_guard.run r where r.run_id = e.run_id and r.outcome is null)
        and not exists (select from migration_guard.barred b where b.run_id = e.run_id);
    get diagnostics n = row_count;
    return n;
end $$;

-- Three group roles without login, each with no more than its part needs. Grant them to your own login roles.

do $$
declare
    r text;
begin
    foreach r in array array['migration_guard_guard', 'migration_guard_client', 'migration_guard_operator'] loop
        begin
            if not exists (select from pg_catalog.pg_roles where rolname = r) then
                execute pg_catalog.format('create role %I nologin', r);
            end if;
        exception when duplicate_object or unique_violation then
            null;  -- made by another session in this very moment
        end;
    end loop;
end $$;

-- What each group may do. Everybody reads; each writes its own rows only; nobody gets anything on your own tables.

revoke all on schema migration_guard from public;
revoke all on all functions in schema migration_guard from public;
revoke all on all procedures in schema migration_guard from public;
grant usage on schema migration_guard to migration_guard_guard, migration_guard_client, migration_guard_operator;
grant select on all tables in schema migration_guard
    to migration_guard_guard, migration_guard_client, migration_guard_operator;

-- The guard: its own tables. A write to `run` or `operator_order` could wait for a client's or an operator's lock.
grant insert, update on migration_guard.leader, migration_guard.lease, migration_guard.report,
    migration_guard.rollback, migration_guard.admission to migration_guard_guard;
grant insert on migration_guard.event, migration_guard.barred to migration_guard_guard;

-- Migrations: no table at all; their own run through functions.
-- Operators: orders and forgiveness, which are never changed but for the withdrawal.
grant insert, update (withdrawn_at, withdrawn_by) on migration_guard.operator_order to migration_guard_operator;
grant insert on migration_guard.forgotten to migration_guard_operator;

grant execute on function migration_guard.timeline(), migration_guard.lock_key(text), migration_guard.run_key(text),
    migration_guard.leader_key(), migration_guard.own_backend_start(), migration_guard.own_run(text),
    migration_guard.words(text, text, text), migration_guard.read_order(text, bigint)
    to migration_guard_guard, migration_guard_client, migration_guard_operator;
grant execute on function
    migration_guard.register(text, text, boolean, boolean, integer, timestamptz),
    migration_guard.acknowledge(bigint, bigint), migration_guard.progress(bigint, bigint, bigint, text),
    migration_guard.finish(bigint, text, text), migration_guard.finish(text, text, text),
    migration_guard.require_proceed(text, bigint), migration_guard.try_batch(text, bigint)
    to migration_guard_client;
grant execute on procedure migration_guard.checkpoint(text, interval) to migration_guard_client;
grant execute on function
    migration_guard.order_pause(text, text, text, timestamptz), migration_guard.order_abort(text, text, text, timestamptz),
    migration_guard.order_override(text, text, text, timestamptz),
    migration_guard.order_mute(text, text, text, text, timestamptz),
    migration_guard.withdraw(text, text, text), migration_guard.forget(text, text)
    to migration_guard_operator;
grant execute on function
    migration_guard.guard_check_term(text, bigint), migration_guard.guard_lead(text),
    migration_guard.guard_publish(text, bigint, text, bigint, jsonb, double precision, double precision, jsonb, bigint[], jsonb, jsonb, timestamptz),
    migration_guard.guard_claim_rollback(text, bigint, bigint, text, text, text[]),
    migration_guard.guard_finish_rollback(text, bigint, bigint, text, text), migration_guard.guard_prune(interval)
    to migration_guard_guard;

-- Which database this is.
insert into migration_guard.installation (version, protocol, system_identifier, database_oid, database_name)
select 1, 1, c.system_identifier, d.oid, d.datname
from pg_control_system() c, pg_database d where d.datname = current_database()
on conflict do nothing;

commit;
