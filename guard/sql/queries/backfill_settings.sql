-- After how many milliseconds the server looks for a deadlock, and whether schema migration_guard knows backfills.
select (select s.setting::float8 from pg_settings s where s.name = 'deadlock_timeout'),
       to_regclass('migration_guard.backfill') is not null
