-- How the rollback of a run ended.
select migration_guard.guard_finish_rollback(%(guard_id)s, %(term)s, %(run)s, %(outcome)s, %(detail)s)
