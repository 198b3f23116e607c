-- What takes back migration 0001_region of Drizzle Kit: the change, and the row by which it is known as applied, so that
-- `drizzle-kit migrate` applies it again later. created_at is `when` of its entry in meta/_journal.json.
-- For examples/rollback-sql.sh: one transaction, and a second run does no harm.
alter table if exists public.customer drop column if exists region;
delete from drizzle.__drizzle_migrations where created_at = 1767225600000;
