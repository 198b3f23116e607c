-- After how many milliseconds the server looks for a deadlock, and whether the cursors of backfills survive a crash.
select (select s.setting::float8 from pg_settings s where s.name = 'deadlock_timeout'),
       (select c.relpersistence = 'p' from pg_class c where c.oid = to_regclass('migration_guard.backfill'))
