-- Which migrations Django has noted as applied, as one text that changes with them; '' where none is.
--
-- A table that is not there cannot stand in a query: so it is looked up, in whatever schema, and read by ts_stat, which
-- takes a query as a text and needs nothing but the server itself.
select coalesce(hashtextextended(string_agg(c.oid::text || s.word, ',' order by c.oid, s.word), 0)::text, '')
  from pg_class c
 cross join lateral ts_stat('select array_to_tsvector(array[hashtextextended(row(id, app, name, applied)::text, 0)::text]) from '
                            || c.oid::regclass::text) s
 where c.relname = 'django_migrations' and c.relkind in ('r', 'p')
   and has_schema_privilege(c.relnamespace, 'usage') and has_table_privilege(c.oid, 'select')
