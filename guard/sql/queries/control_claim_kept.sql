-- A commit behind that of a claim, of a session whose commits wait for the standbys: once it is through, so is the claim.
-- No row where the claim is not here.
select pg_logical_emit_message(true, 'migration_guard', 'claim')
from migration_guard.rollback where run_id = %(run)s and term = %(term)s
