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
