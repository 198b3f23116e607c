-- The limits of a batch, for its transaction alone.
select set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),
       set_config('idle_in_transaction_session_timeout', '5s', true)
