-- The last key of the table, as text. By the column itself: a bare name would be the text that is selected.
select t.{key}::text from {table} t order by t.{key} desc limit 1
