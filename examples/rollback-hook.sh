#!/bin/sh
# A rollback hook. It is started at most once for a run, after the run's sessions are gone.
#
# It gets: the facts as JSON on standard input, each plain one as MIGRATION_GUARD_... in its environment, PATH, and the
# variables that [rollback] environment names. Nothing else: no PG..., no secrets.
# It says how it went by its exit code (0: rolled back). What it prints is kept (64 kB) and shown to people.
# It may be run by hand with the same effect, so write it such that a second run does no harm.
set -eu

echo "rolling back ${MIGRATION_GUARD_MIGRATION:?}, run ${MIGRATION_GUARD_RUN_ID:?}: ${MIGRATION_GUARD_BECAUSE:-no reason given}"

# Switch the new code path off first; then nothing depends on the new schema any more.
#   curl --fail --silent --show-error --max-time 20 -X POST "https://flags.internal/new-checkout/off"

# Then undo what the migration did, with a short lock timeout so that the rollback cannot cause a pile-up itself.
#   PGOPTIONS='-c lock_timeout=2s' psql --no-psqlrc -v ON_ERROR_STOP=1 -f /etc/migration-guard/rollback.sql

echo "nothing to roll back: this is the example" >&2
exit 1
