-- Functions for a backfill: where it stands, in the very transaction of each batch, so that neither can be without the
-- other. They write the row of the caller's own live run alone, and set no synchronous_commit: how the batch commits is
-- the caller's business.

-- The caller's open run of that id, by name; raises 55000 for any other, and where the backfill of that name is another
-- role's: a name alone, which every client may register, must not let it move somebody's cursor or read it.
create or replace function migration_guard.backfill_of(run bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text;
    owner text;
begin
    select r.migration into name from migration_guard.run r
        where r.run_id = backfill_of.run and r.usename = session_user and r.ended_at is null
          and (r.pooled or r.pid = pg_backend_pid());
    if name is null then
        raise exception using errcode = '55000', message = format('run %s is no open run of this session', backfill_of.run);
    end if;
    select b.owner into owner from migration_guard.backfill b where b.migration = name;
    if owner <> session_user then
        if exists (select from pg_roles r where r.rolname = owner) and not pg_has_role(session_user, owner, 'member') then
            raise exception using errcode = '55000',
                message = format('backfill %s belongs to role %s: go on with it as that role', name, owner);
        end if;
    end if;
    return name;
end $$;

-- Take up the backfill of the caller's run: makes its row, or finds it where it stands. Raises 55000 where it was begun
-- with another definition (unless `anew`) or by another role, 55P03 where a batch of it is in flight.
create or replace function migration_guard.begin_backfill(
    run bigint, table_name text, key_column text, fingerprint text, anew boolean default false
) returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text := migration_guard.backfill_of(run);
    b migration_guard.backfill;
begin
    select * into b from migration_guard.backfill x where x.migration = name for update nowait;
    if not found then
        insert into migration_guard.backfill (migration, table_name, key_column, fingerprint, owner)
            values (name, begin_backfill.table_name, begin_backfill.key_column, begin_backfill.fingerprint, session_user);
        return;
    elsif anew then
        update migration_guard.backfill x set table_name = begin_backfill.table_name, key_column = begin_backfill.key_column,
                fingerprint = begin_backfill.fingerprint, owner = session_user, pass = 0, last_key = null, end_key = null,
                keys_done = 0, rows_done = 0, rows_still = 0, pass_rows = 0, batches_done = 0,
                started_at = clock_timestamp(), moved_at = clock_timestamp(), finished_at = null
            where x.migration = name;
    elsif b.fingerprint <> begin_backfill.fingerprint then
        raise exception using errcode = '55000', message = format(
            'backfill %s was begun on %s with another definition (table %s by %s, %s rows done)', name,
            to_char(b.started_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), b.table_name, b.key_column, b.rows_done);
    end if;
end $$;

-- Where the backfill of the caller's run stands, its row locked until the transaction ends. Raises 55P03 where another
-- session has it locked: that one's batch is in flight.
create or replace function migration_guard.lock_backfill(
    run bigint, out pass integer, out last_key text, out end_key text, out keys_done bigint, out rows_done bigint,
    out rows_still bigint, out pass_rows bigint, out batches_done bigint, out seconds double precision, out finished boolean
) language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text := migration_guard.backfill_of(run);
begin
    select b.pass, b.last_key, b.end_key, b.keys_done, b.rows_done, b.rows_still, b.pass_rows, b.batches_done,
            extract(epoch from b.moved_at - b.started_at), b.finished_at is not null
        into strict pass, last_key, end_key, keys_done, rows_done, rows_still, pass_rows, batches_done, seconds, finished
        from migration_guard.backfill b where b.migration = name for update nowait;
end $$;

-- Lock it as above where it stands as the caller knows it, and return true; else 40001, and the caller looks again. A part of
-- the one statement that is a batch.
create or replace function migration_guard.expect_backfill(run bigint, pass integer, last_key text, end_key text)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    b migration_guard.backfill;
begin
    select * into strict b from migration_guard.backfill x
        where x.migration = (select migration_guard.backfill_of(run)) for update nowait;
    if (b.pass, b.last_key, b.end_key, b.finished_at) is distinct from
       (expect_backfill.pass, expect_backfill.last_key, expect_backfill.end_key, null::timestamptz) then
        raise exception using errcode = '40001', message = format('backfill %s has been moved by another session', b.migration);
    end if;
    return true;
end $$;

-- The batch up to this key is done: `keys` were looked at, `rows` changed, `still` of which match the condition as before,
-- `moved` have left its range, and `kept` match although nothing changed them: a pass with any is not a clean one. Raises 55000
-- where the cursor cannot be relied on after that: with the batch, none of it has happened.
create or replace function migration_guard.move_backfill(
    run bigint, last_key text, keys bigint, rows bigint, still bigint, moved bigint, kept bigint
) returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    if moved > 0 then
        raise exception using errcode = '55000',
            message = 'SET changes the key by which the table is cut into batches; nothing of it was kept';
    elsif still > 0 and (select c.relpersistence = 'u' from pg_class c where c.oid = 'migration_guard.backfill'::regclass) then
        raise exception using errcode = '55000', message = 'rows match WHERE as before after they were changed, and schema '
            'migration_guard is UNLOGGED: a crash would lose how far it was, and rows would be changed twice; nothing of it '
            'was kept';
    end if;
    update migration_guard.backfill b set last_key = move_backfill.last_key, keys_done = b.keys_done + move_backfill.keys,
            rows_done = b.rows_done + move_backfill.rows, pass_rows = b.pass_rows + move_backfill.rows + move_backfill.kept,
            rows_still = b.rows_still + move_backfill.still, batches_done = b.batches_done + 1, moved_at = clock_timestamp()
        where b.migration = (select migration_guard.backfill_of(run));
end $$;

-- Begin a pass over the table, up to this key.
create or replace function migration_guard.pass_backfill(run bigint, end_key text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    update migration_guard.backfill b set pass = b.pass + 1, last_key = null, end_key = pass_backfill.end_key,
            keys_done = 0, pass_rows = 0
        where b.migration = (select migration_guard.backfill_of(run));
end $$;

-- Nothing is left to do.
create or replace function migration_guard.end_backfill(run bigint) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    update migration_guard.backfill b set finished_at = clock_timestamp()
        where b.migration = (select migration_guard.backfill_of(run));
end $$;
