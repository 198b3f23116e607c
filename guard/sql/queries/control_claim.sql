-- Claim the one rollback of a run; false where it was claimed before.
select migration_guard.guard_claim_rollback(
    %(guard_id)s, %(term)s, %(run)s, %(name)s, %(because)s, %(command)s::text[])
