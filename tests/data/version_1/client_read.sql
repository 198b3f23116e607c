-- What the migration is told now.
select kind, because, source, epoch, term, beat, mode, remaining_ms, protocol
from migration_guard.read_order(%s, %s)
