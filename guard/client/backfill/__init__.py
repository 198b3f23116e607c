"""A backfill in batches: one UPDATE by ranges of the key, whose cursor commits with the rows that it changed.

    from guard.client.backfill import Definition, run

    run(connection, "fill-region", Definition("customers", set_="region = 'eu'", where="region is null"))

definition  what is to be done, and how            table     the table and its key
statements  the SQL of a batch                     plan      does a batch read more than its range?
state       where it stands, in the database       steering  how large the next batch is
holders     who is in its way
pacing      by what standbys have still to replay       work      the loop
"""

from guard.client.backfill.definition import (
    BackfillRefused,
    Definition,
    Ended,
    Hindered,
    Manner,
    Progress,
    Stopped,
    Verified,
)
from guard.client.backfill.plan import Preview, preview
from guard.client.backfill.work import Hooks, run

__all__ = [
    "BackfillRefused",
    "Definition",
    "Ended",
    "Hindered",
    "Hooks",
    "Manner",
    "Preview",
    "Progress",
    "Stopped",
    "Verified",
    "preview",
    "run",
]
