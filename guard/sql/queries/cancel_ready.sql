-- Whether the connection that cancels still stands; one row.
select pg_backend_pid()
