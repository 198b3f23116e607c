-- What each group may do. Everybody reads; each writes its own rows only; nobody gets anything on your own tables.

revoke all on schema migration_guard from public;
revoke all on all functions in schema migration_guard from public;
revoke all on all procedures in schema migration_guard from public;
grant usage on schema migration_guard to migration_guard_guard, migration_guard_client, migration_guard_operator;
grant select on all tables in schema migration_guard
    to migration_guard_guard, migration_guard_client, migration_guard_operator;
-- But for the cursor of a backfill, which is a value of somebody's table.
revoke select on migration_guard.backfill from migration_guard_guard, migration_guard_client, migration_guard_operator;
grant select (migration, table_name, key_column, fingerprint, owner, pass, keys_done, pass_rows, rows_done, rows_still,
              batches_done, started_at, moved_at, finished_at) on migration_guard.backfill
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
grant execute on function
    migration_guard.declare_fence(bigint, text, interval), migration_guard.lift_fence(bigint), migration_guard.unfence(text)
    to migration_guard_client;
grant execute on function
    migration_guard.begin_backfill(bigint, text, text, text, boolean), migration_guard.lock_backfill(bigint),
    migration_guard.expect_backfill(bigint, integer, text, text),
    migration_guard.move_backfill(bigint, text, bigint, bigint, bigint, bigint, bigint),
    migration_guard.pass_backfill(bigint, text), migration_guard.end_backfill(bigint)
    to migration_guard_client;
grant execute on function migration_guard.is_fenced(integer, timestamptz) to migration_guard_guard;
grant execute on function migration_guard.let_finish(text) to migration_guard_guard, migration_guard_client;
grant execute on function migration_guard.unreplayed(jsonb, boolean) to migration_guard_client;
grant execute on procedure migration_guard.checkpoint(text, interval),
    migration_guard.fence(text, text, interval, interval) to migration_guard_client;
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
