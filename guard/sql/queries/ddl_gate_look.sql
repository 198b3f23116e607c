-- The DDL gate of this database, or no row: whether its event trigger is enabled (O, A), whether the server heeds event
-- triggers at all (a setting since 17), and whom it holds, as its installer noted.
select t.evtenabled::text as enabled, coalesce(current_setting('event_triggers', true), 'on') as heeded,
       obj_description(t.oid, 'pg_event_trigger') as note
  from pg_event_trigger t where t.evtname = 'migration_guard_ddl_gate'
