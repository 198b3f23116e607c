-- Try to lead: the new term, or null where another session has the leader's lock.
select migration_guard.guard_lead(%(guard_id)s)
