-- Does this session still lead, and what does the server's clock say? Reads only: a guard in whose database nobody
-- migrates writes no WAL.
select exists (select from migration_guard.leader l
               where l.guard_id = %(guard_id)s and l.term = %(term)s and l.pid = pg_backend_pid()),
       extract(epoch from clock_timestamp())::float8
