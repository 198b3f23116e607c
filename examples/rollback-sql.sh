#!/bin/sh
# A rollback hook that runs a file of down SQL, for tools that have no way back of their own, such as Drizzle Kit.
#
#   [migration.add-region.rollback]
#   command = ["/etc/migration-guard/rollback-sql.sh", "service=rollback", "/etc/migration-guard/add-region.down.sql"]
#   verify  = "select not exists (select from pg_attribute where attname = 'region' and not attisdropped)"
#
# The connection string holds no password: give that by ~/.pgpass or a service file. The role is one of the rollback's
# own, never one of [migrations]: the guard would cancel it like a migration where it holds up a queue.
# The file is run in one transaction that waits at most 2 s for a lock, ten times at most, so that the rollback cannot
# cause a pile-up itself. Write it such that a second run does no harm. A rehearsal ends the transaction with ROLLBACK;
# for that it must not hold COMMIT, nor what cannot be in a transaction, such as DROP INDEX CONCURRENTLY.
set -eu
connection=${1:?the connection string is missing}
file=${2:?the file of down SQL is missing}

end=commit
if [ "${MIGRATION_GUARD_REHEARSAL:-}" = true ]; then end=rollback; fi

try=1
while :; do
    code=0
    said=$(psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -v down="$file" "$connection" 2>&1 <<SQL
set client_connection_check_interval = '1s';
begin;
set local lock_timeout = '2s';
\\i :down
$end;
SQL
    ) || code=$?
    if [ -n "$said" ]; then echo "$said"; fi
    case $said in
        *"55P03"*) if [ "$try" -ge 10 ]; then exit 1; fi ;;
        *) break ;;
    esac
    echo "try $try waited for a lock in vain; trying again"
    try=$((try + 1))
    sleep 1
done
if [ "$code" -ne 0 ]; then exit "$code"; fi
echo "$file: $end"
