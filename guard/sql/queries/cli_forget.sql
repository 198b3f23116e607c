-- Let an aborted migration run again: forgive the guard's bar, and take back operators' aborts of this name.
select migration_guard.forget(%(name)s, %(owner)s), migration_guard.withdraw(%(name)s, 'abort', %(owner)s)
