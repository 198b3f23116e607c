"""What several rows of the catalogue say alike."""

from typing import Final

MONITOR: Final = "pg_monitor (pg_read_all_stats); without it PostgreSQL shows NULL for what others do"
ANYBODY: Final = "none"
MEMORY: Final = "shared memory only: no table is read"
RESET: Final = "first looked at, and for one interval after the counters were reset or another server leads"
