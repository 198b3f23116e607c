-- Prepares the gate's session: only the lock timeout may end its wait, and a wait whose client is gone ends soon.
select set_config('lock_timeout', %(lock_timeout)s, false),
       set_config('statement_timeout', '0', false),
       set_config('client_connection_check_interval', '500ms', false)
