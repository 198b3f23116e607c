-- Functions for operators: one line each by hand, with or without a guard. '*' as the name means every migration.
-- They run with the rights of the caller and write rows of operators only.

create or replace function migration_guard.order_pause(name text, owner text, reason text default '', expires timestamptz default null)
returns bigint language sql volatile
    as $$ insert into migration_guard.operator_order (kind, migration, owner, reason, expires_at)
          values ('pause', name, owner, reason, expires) returning order_id $$;

-- Abort beats override.
create or replace function migration_guard.order_abort(name text, owner text, reason text default '', expires timestamptz default null)
returns bigint language sql volatile
    as $$ insert into migration_guard.operator_order (kind, migration, owner, reason, expires_at)
          values ('abort', name, owner, reason, expires) returning order_id $$;

-- Go on whatever the guard says, and where there is none; an hour unless told otherwise.
create or replace function migration_guard.order_override(name text, owner text, reason text default '',
    expires timestamptz default clock_timestamp() + interval '1 hour')
returns bigint language sql volatile
    as $$ insert into migration_guard.operator_order (kind, migration, owner, reason, expires_at)
          values ('override', name, owner, reason, expires) returning order_id $$;

-- The guard does not listen to one rule for a time.
create or replace function migration_guard.order_mute(name text, rule text, owner text, reason text default '',
    expires timestamptz default clock_timestamp() + interval '1 hour')
returns bigint language sql volatile
    as $$ insert into migration_guard.operator_order (kind, migration, rule, owner, reason, expires_at)
          values ('mute', name, rule, owner, reason, expires) returning order_id $$;

-- Take back orders of one kind for this name; says how many there were.
create or replace function migration_guard.withdraw(name text, kind text, owner text) returns bigint language sql volatile
    as $$ with withdrawn as (
              update migration_guard.operator_order o set withdrawn_at = pg_catalog.clock_timestamp(), withdrawn_by = withdraw.owner
              where o.migration = withdraw.name and o.kind = withdraw.kind and o.withdrawn_at is null
                and (o.expires_at is null or o.expires_at > pg_catalog.clock_timestamp())
              returning 1)
          select pg_catalog.count(*) from withdrawn $$;

-- Let a migration that was aborted or rolled back be run again; says up to which run.
create or replace function migration_guard.forget(name text, owner text) returns bigint language sql volatile
    as $$ insert into migration_guard.forgotten (migration, upto_run_id, owner)
          select forget.name, greatest((select max(r.run_id) from migration_guard.run r where r.migration = forget.name),
                                       (select max(b.run_id) from migration_guard.barred b where b.migration = forget.name), 0),
                 forget.owner
          returning upto_run_id $$;
