-- A copied schema is given to this database: every row in it speaks of another one, so all of them go.
truncate migration_guard.installation, migration_guard.leader, migration_guard.lease, migration_guard.operator_order,
    migration_guard.run, migration_guard.fence, migration_guard.admission, migration_guard.barred, migration_guard.forgotten,
    migration_guard.rollback, migration_guard.backfill, migration_guard.report, migration_guard.event
