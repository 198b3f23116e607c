-- A function for who paces itself by what standbys have still to replay, and what a guard has said that it needs for that.
-- Since version 2.

-- How much WAL the slowest expected standby has still to replay: `bytes`, or null with the reason in `because`, which
-- means that nobody can know and is no zero. SECURITY DEFINER: to see a standby's position takes pg_read_all_stats (a part
-- of pg_monitor), which a migration need not have; its owner must.
-- `standbys`: names that must stream (["replica1"]) or how many of whatever name (2); null: those that the guard expects.
-- None at all ([] or 0), said on purpose, leaves nothing to be waited for: `expected` is 0 and `bytes` null without a
-- reason. `slowest` and `replayed`: which standby that is, and its position; `written`: how far this server has written,
-- flushed or not, both in bytes from 0/0. `streaming`: how many of the expected ones there are. `pause_limit`: seconds
-- of lag at which the guard pauses, null where no rule of it says so.
-- With `nudge` it writes a little WAL: a standby tells its position when it receives some, so without any it stands still.
create or replace function migration_guard.unreplayed(
    standbys jsonb default null, nudge boolean default false,
    out bytes bigint, out slowest text, out replayed bigint, out written bigint, out streaming integer,
    out expected integer, out because text, out pause_limit double precision
) language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    pacing jsonb;
    aside jsonb := '[]';  -- whom the guard asks themselves: they need not be seen from here, and its own limits hold for them
    missing text;
begin
    if pg_is_in_recovery() then
        because := 'this server is a standby'; return;
    end if;
    if nudge and current_setting('server_version_num')::integer >= 170000 then
        perform pg_logical_emit_message(false, 'migration_guard', '', flush => true);
    elsif nudge then
        perform pg_logical_emit_message(true, 'migration_guard', '');  -- only its commit is flushed, and so sent, at once
    end if;
    select r.report -> 'pacing' into pacing from migration_guard.report r;
    pause_limit := (pacing ->> 'lag')::double precision;
    if standbys is null then
        standbys := pacing -> 'standbys';
        aside := coalesce(pacing -> 'aside', aside);
    end if;
    written := (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint;
    expected := case jsonb_typeof(standbys) when 'array' then jsonb_array_length(standbys)
                                            when 'number' then (standbys #>> '{}')::integer end;
    if expected = 0 then
        streaming := 0; return;
    elsif expected is null then
        because := 'no guard has said which standbys are expected'; return;
    elsif not pg_has_role('pg_read_all_stats', 'usage') then
        because := format('the owner of schema migration_guard, %s, may not see standbys: grant pg_monitor to it', current_user);
        return;
    end if;
    with sender as (
        select a.application_name as name, (s.replay_lsn - '0/0'::pg_lsn)::bigint as position,
               -- A dead connection's row stays for wal_sender_timeout beside the one that its standby has made since.
               s.reply_time >= max(s.reply_time) over (partition by a.application_name) - interval '15 s' as speaks,
               -- A subscriber looks as a standby does, but no standby is behind it. Who names one means it.
               exists (select from pg_replication_slots l where l.active_pid = s.pid and l.slot_type = 'logical') as logical
          from pg_stat_get_wal_senders() s cross join lateral pg_stat_get_activity(s.pid) a
         where s.state in ('streaming', 'catchup') and s.replay_lsn is not null
    ), found as (
        select e.name, min(s.position) as position
          from jsonb_array_elements_text(case jsonb_typeof(standbys) when 'array' then standbys else '[]' end) e (name)
          left join sender s on s.name = e.name and s.speaks
         where s.name is not null or not aside ? e.name
         group by e.name
        union all
        select * from (select s.name, s.position from sender s
                        where jsonb_typeof(standbys) = 'number' and s.speaks and not s.logical
                        order by s.position desc limit expected) best
    )
    select count(f.position), string_agg(f.name, ', ' order by f.name) filter (where f.position is null),
           min(f.position), (array_agg(f.name order by f.position, f.name) filter (where f.position is not null))[1]
      into streaming, missing, replayed, slowest from found f;
    if missing is not null then
        because := missing || ' does not stream';
    elsif streaming < greatest(1, expected - jsonb_array_length(aside)) then
        because := format('%s of %s expected standbys stream from this server', streaming, expected);
    else
        bytes := greatest(0, written - replayed);
    end if;
end $$;
