-- Where the backfill stands, locked until the transaction ends.
select b.pass, b.last_key, b.end_key, b.keys_done, b.rows_done, b.rows_still, b.pass_rows, b.batches_done, b.finished
  from migration_guard.lock_backfill(%s) b
