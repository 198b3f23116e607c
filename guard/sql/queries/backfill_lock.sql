-- Begin a batch's transaction: its limits, and where the backfill stands, locked until it ends.
select b.pass, b.last_key, b.end_key, b.keys_done, b.rows_done, b.rows_still, b.pass_rows, b.batches_done, b.finished
  from (select set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),
               set_config('idle_in_transaction_session_timeout', '5s', true)) as limits,
       migration_guard.lock_backfill(%s) b
