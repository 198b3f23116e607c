"""A door for those who ask the same few questions each second: each is planned once on each connection.

To plan a probe's question costs more than to run it. It decides nothing about connections; that is Door's.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import errors
from psycopg.abc import Params, QueryNoTemplate

from guard.postgres.door import Door

# By itself the server would plan a statement five times anew, and go on so where it takes that for cheaper.
_ONE_PLAN = {"plan_cache_mode": "force_generic_plan"}
_OUTDATED = (errors.FeatureNotSupported, errors.InvalidSqlStatementName)
"""What a prepared statement answers whose columns have changed (0A000), or that the session has forgotten (26000)."""


class PreparedDoor(Door):
    """A Door whose fetch() and fetch_as() send prepared statements; what transact() runs is planned anew each time.

    The server itself plans anew after a change of the tables that it reads. Where such a change does not let it go on,
    it has not run the statement, and is asked once more, unprepared. On a new connection each is prepared anew.
    """

    def __init__(self, conninfo: str, *, purpose: str, **options: Any) -> None:
        """*options* as of Door, but for `settings`. Raises WorldError where *conninfo* cannot be parsed."""
        super().__init__(conninfo, purpose=purpose, settings=_ONE_PLAN, **options)

    async def _execute(self, cursor: psycopg.AsyncCursor[Any], query: QueryNoTemplate, params: Params | None) -> None:
        try:
            await cursor.execute(query, params, prepare=True)
        except _OUTDATED:
            # By this word the driver forgets them too, and prepares each anew when it is asked again.
            await cursor.execute("deallocate all", prepare=False)
            await cursor.execute(query, params, prepare=False)
