-- The server process that answers; behind a pooler it is not the one that the login was told of.
select pg_backend_pid()
