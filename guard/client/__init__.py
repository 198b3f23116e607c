"""What a migration imports: it asks before each batch, waits while it is told to, and says how far it is.

    from guard.client import Migration

    with Migration(connection, "backfill-email") as migration:
        for batch in migration.pace(batches):
            ...  # one batch, committed

Synchronous, on the migration's own connection, without a thread. It needs psycopg and the standard library only, and
works behind a transaction pooler. It never touches the migration's own tables or transactions.
"""

from guard.client.migration import Migration
from guard.client.outcomes import Aborted, AlreadyRunning, FenceRefused, GuardLost, Paused
from guard.client.pacing import Pacer, Waited
from guard.client.scripts import wait_for_proceed

__all__ = [
    "Aborted",
    "AlreadyRunning",
    "FenceRefused",
    "GuardLost",
    "Migration",
    "Pacer",
    "Paused",
    "Waited",
    "wait_for_proceed",
]
