-- Removes everything that install made in this database. The three group roles stay, since other databases may use
-- them: drop role migration_guard_guard, migration_guard_client, migration_guard_operator; and that of the DDL gate, where
-- one was made: drop role migration_guard_gate; Only a superuser may remove the gate, and without the schema it would stay
-- closed for ever.

set local lock_timeout = '3s';
drop event trigger if exists migration_guard_ddl_gate;
drop schema if exists migration_guard_gate cascade;
drop schema if exists migration_guard cascade;
