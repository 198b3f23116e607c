-- Removes everything that install made in this database. The three group roles stay, since other databases may use
-- them: drop role migration_guard_guard, migration_guard_client, migration_guard_operator;

set local lock_timeout = '3s';
drop schema if exists migration_guard cascade;
