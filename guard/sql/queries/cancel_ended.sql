-- Which of these runs have said their end by now: what their sessions do is no longer a migration's work.
select r.run_id from migration_guard.run r where r.run_id = any (%(run_ids)s::bigint[]) and r.ended_at is not null
