-- Before installing: is this a primary, what is there, and which publications would carry our tables to a subscriber
-- that does not have them (it would stop at the first write)?
select pg_is_in_recovery(), to_regclass('migration_guard.installation') is not null,
       (select coalesce(array_agg(pubname::text order by pubname), '{}') from pg_publication where puballtables),
       (select count(*) = 3 from pg_roles where rolname in
           ('migration_guard_guard', 'migration_guard_client', 'migration_guard_operator'))
