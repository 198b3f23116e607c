"""What every session of the guard is like: how its line to the server behaves, and its settings there.

It connects to nothing.
"""

from __future__ import annotations

APPLICATION = "migration_guard/"
"""Every session of the guard has an application_name that starts so; the probes leave such sessions out."""

LINE = {
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    # Keepalives alone do not end a connection with unacknowledged data on its way.
    "tcp_user_timeout": "8000",
}

SESSION = {
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "5s",
    # A commit that waits for a lost synchronous standby is not ended by statement_timeout.
    "synchronous_commit": "local",
    # The server's end of the line, which holds the leader's lock: by default it would believe for two hours in a guard
    # that is cut off. On a Unix socket these do nothing.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
    # Whoever may create in public could else make a function that fits a call of ours better than the server's own, and
    # have it run with the guard's rights.
    "search_path": "pg_catalog, pg_temp",
}
WAITING = {"synchronous_commit": "on"}
"""What is different in a session whose commits have to outlast a failover."""
