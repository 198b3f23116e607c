-- What a statement is, by its words.

-- What mends or prepares without stopping readers and writers, and leaves something behind when it is cancelled; '' for
-- everything else. The comments that tools put before a statement do not count.
create or replace function migration_guard.let_finish(query text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select case
           when s.said ~ ';\s*\S' then ''
           when s.said ~* '^create\s+(unique\s+)?index\s+concurrently\M' then 'CREATE INDEX CONCURRENTLY'
           when s.said ~* '^drop\s+index\s+concurrently\M' then 'DROP INDEX CONCURRENTLY'
           when s.said ~* '^reindex\M.*\mconcurrently\M' then 'REINDEX CONCURRENTLY'
           when s.said ~* '^vacuum\M' and s.said !~* '^vacuum\s*(\([^)]*\mfull\M|full\M)' then 'VACUUM'
           when s.said ~* '^alter\s+table\s+(if\s+exists\s+)?(only\s+)?("[^"]*"|[^\s"])+\s+validate\s+constraint\s+("[^"]*"|[^\s",])+\s*;?\s*$'
             then 'VALIDATE CONSTRAINT'
           when s.said ~* '^alter\s+table\M.*\mdetach\s+partition\M.*\m(concurrently|finalize)\s*;?\s*$'
             then 'DETACH PARTITION CONCURRENTLY'
           else ''
         end
    from (select regexp_replace(coalesce(query, ''), '^(\s+|--[^\n]*(\n|$)|/\*([^*]|\*+[^*/])*\*+/)+', '') as said) s
$$;
