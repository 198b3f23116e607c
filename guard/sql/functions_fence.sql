-- Functions for a fence: a section in which a run must not be cancelled, such as the cut-over from one table to another.
-- It ends with its section, its run, its session or its time, which this server's clock tells. It is granted only to a
-- run that may proceed, and so what is due meanwhile waits for one fence at most.

-- Whether a session is in such a section now. The guard asks in the very statement that would cancel it. A fence that
-- begins in the future is none: the clock was set back, and it would hold for as long as that.
create or replace function migration_guard.is_fenced(pid integer, backend_start timestamptz) returns boolean
language sql volatile
    as $$ select exists (select from migration_guard.fence f join migration_guard.run r using (run_id)
                         where r.pid = is_fenced.pid and r.ended_at is null and f.until > pg_catalog.clock_timestamp()
                           and f.since < pg_catalog.clock_timestamp() + interval '1 s'
                           and coalesce(r.backend_start = is_fenced.backend_start,
                                        is_fenced.backend_start <= r.registered_at)) $$;

-- Begin a fence for the caller's own run; returns when it ends at the latest. It counts for the guard once it is
-- committed, so not inside the transaction that it is to protect. Raises 55P03 where the run must wait, MG001 where it is
-- aborted, 22023 where it is longer than the guard allows, 55000 where no fence can be had.
create or replace function migration_guard.declare_fence(run bigint, what text, at_most interval default interval '30 s')
returns timestamptz language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    own record;
    known record;
    longest interval;
    t timestamptz;
begin
    select r.migration into own from migration_guard.run r
        where r.run_id = declare_fence.run and r.usename = session_user and r.ended_at is null
          and (r.pooled or r.pid = pg_backend_pid());
    if not found then
        raise exception using errcode = '55000', message = format('run %s is no open run of this session', declare_fence.run);
    elsif exists (select from migration_guard.fence f where f.run_id = declare_fence.run and f.until > clock_timestamp()) then
        raise exception using errcode = '55000', message = format('run %s is in a fence already', declare_fence.run);
    elsif declare_fence.what ~ '[[:cntrl:]]' or length(declare_fence.what) not between 1 and 200 then
        -- It will stand in logs, messages and terminals.
        raise exception using errcode = '22023', message = 'a fence has a name of at most 200 characters, none of them a control character';
    end if;
    select p.report ? 'longest_fence' as fences, make_interval(secs => (p.report ->> 'longest_fence')::float8) as longest
        into known from migration_guard.report p;
    if found and not known.fences then
        raise exception using errcode = '55000',
            message = 'the guard of this database is of an earlier version, and would cancel a fenced run all the same',
            hint = 'Restart it with the newer program.';
    end if;
    longest := coalesce(known.longest, interval '1 min');  -- no guard has spoken yet: what it allows by default
    if declare_fence.at_most > longest or declare_fence.at_most <= interval '0' then
        raise exception using errcode = '22023',
            message = format('a fence of %s s: the guard allows more than 0 s and at most %s s ([guard] longest_fence)',
                             extract(epoch from declare_fence.at_most)::float8, extract(epoch from longest)::float8);
    end if;
    perform migration_guard.require_proceed(own.migration, declare_fence.run);
    t := clock_timestamp();
    insert into migration_guard.fence as f (run_id, what, since, until)
        values (declare_fence.run, declare_fence.what, t, t + declare_fence.at_most)
        on conflict (run_id) do update set what = excluded.what, since = excluded.since, until = excluded.until;
    return t + declare_fence.at_most;
end $$;

-- The section is over. Says whether its fence still held: false where it had run out, or there was none.
create or replace function migration_guard.lift_fence(run bigint) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    held boolean;
begin
    delete from migration_guard.fence f using migration_guard.run r
        where f.run_id = lift_fence.run and r.run_id = f.run_id and r.usename = session_user
        returning f.until > clock_timestamp() into held;
    return coalesce(held, false);
end $$;

-- The same by name, for SQL scripts: the caller's own open run.
create or replace function migration_guard.unfence(name text) returns boolean language sql volatile
    as $$ select coalesce(migration_guard.lift_fence(migration_guard.own_run(name)), false) $$;

-- For SQL scripts in autocommit: waits as checkpoint does, then begins a fence. Fails (2D000) inside a transaction.
create or replace procedure migration_guard.fence(name text, what text, at_most interval default interval '30 s',
    poll interval default interval '1 s')
language plpgsql as $$
declare
    declared boolean := false;
begin
    loop
        call migration_guard.checkpoint(name, poll);
        commit;
        set transaction isolation level read committed;
        begin
            perform migration_guard.declare_fence(migration_guard.own_run(name), what, at_most);
            declared := true;
        exception when lock_not_available then  -- paused in this very moment
            perform pg_catalog.pg_sleep(extract(epoch from poll));
        end;
        exit when declared;
    end loop;
end $$;
