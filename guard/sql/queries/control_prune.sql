-- Cut the trail of events by age.
select migration_guard.guard_prune(make_interval(secs => %(keep)s))
