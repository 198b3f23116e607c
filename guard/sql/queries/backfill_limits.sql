-- What a look at plans may wait for, and that a plan reads a table whole only where it cannot do otherwise.
select set_config('lock_timeout', '2s', true), set_config('statement_timeout', '10s', true),
       set_config('enable_seqscan', 'off', true)
