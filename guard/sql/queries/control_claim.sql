-- Claim the one rollback of a run; false where it was claimed before. Also whether commits wait for a standby here: the
-- claim itself does not, since the guard's beats would wait behind it.
with claimed as materialized (
    select migration_guard.guard_claim_rollback(
        %(guard_id)s, %(term)s, %(run)s, %(name)s, %(because)s, %(command)s::text[]) as yes)
select yes, current_setting('synchronous_standby_names') <> '' as waits,
    set_config('synchronous_commit', 'local', true) as as_the_beats
from claimed
