#!/bin/sh
# A rollback hook that runs `alembic downgrade`.
#
#   [migration.add-region.rollback]
#   command     = ["/etc/migration-guard/rollback-alembic.sh", "/srv/shop/alembic.ini", "ae10", "1975"]
#   environment = ["PATH", "HOME"]                   # PATH has to lead to alembic; env.py reads the URL as it does otherwise
#   timeout     = "5m"
#   verify      = "select version_num = '1975' from public.alembic_version"
#
# The second and third arguments are the revision to be taken back and the one before it. Where the database is not at the
# former any more there is nothing to do, so a second run does no harm. Set lock_timeout in env.py or for its role, so
# that the rollback cannot cause a pile-up itself. A rehearsal connects, and prints the SQL that would be run.
set -eu
ini=${1:?the path of alembic.ini is missing}
from=${2:?the revision to be taken back is missing}
to=${3:?the revision before it is missing}

current=$(alembic -c "$ini" current 2>/dev/null) || { alembic -c "$ini" current; exit 1; }
if [ "${MIGRATION_GUARD_REHEARSAL:-}" = true ]; then
    echo "rehearsal; the database is at: ${current:-nothing}"
    exec alembic -c "$ini" downgrade "$from:$to" --sql
fi
case $current in
    "$from"*) ;;
    "$to"*) echo "already at $to"; exit 0 ;;
    *) echo "the database is at ${current:-nothing}, not at $from: a human must look" >&2; exit 1 ;;
esac
alembic -c "$ini" downgrade "$to"
