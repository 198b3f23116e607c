-- End the old session of the same guard, if the leader's row still names both.
select pg_terminate_backend(leader.pid) from migration_guard.leader
where leader.guard_id = %(guard_id)s and leader.pid = %(pid)s and leader.pid <> pg_backend_pid()
