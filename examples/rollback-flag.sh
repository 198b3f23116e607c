#!/bin/sh
# A rollback hook that switches a deploy flag off: the new code path first, since then nothing needs the new schema.
#
#   [rollback]
#   command     = ["/etc/migration-guard/rollback-flag.sh", "https://flags.internal/flags/new-checkout"]
#   environment = ["PATH", "FLAGS_HEADER_FILE"]      # a file with a line such as: Authorization: Bearer ...
#
# Run again it does no harm. A rehearsal asks whether the flag can be read with these credentials, and leaves it.
set -eu
flag=${1:?the URL of the flag is missing}

ask() {
    if [ -n "${FLAGS_HEADER_FILE:-}" ]; then set -- -H "@$FLAGS_HEADER_FILE" "$@"; fi
    curl --fail --silent --show-error --max-time 20 "$@"
}

if [ "${MIGRATION_GUARD_REHEARSAL:-}" = true ]; then
    state=$(ask "$flag")
    echo "rehearsal, $flag stays as it is: $state"
    exit 0
fi
ask -X PUT -H 'Content-Type: application/json' --data '{"enabled": false}' "$flag" >/dev/null
# What the service says of it now, and not what it answered to the order.
state=$(ask "$flag")
case $(echo "$state" | tr -d '[:space:]') in
    *'"enabled":false'*) echo "$flag is off" ;;
    *) echo "$flag is not off" >&2; exit 1 ;;
esac
