-- One batch, in one statement: its cursor is locked where it is expected to stand, a range of so many keys (one more than
-- `more`) is found, what matches in it is changed, and the cursor moved to its end. Whether the range was whole, its end, and
-- how many rows were changed, match as before, and were kept from being changed.
-- `guard_found` is materialized, or the range would be looked for twice. What SET and WHERE can see is named so that it hides
-- no table of theirs. The end of a pass keeps its words, by which it is known.
with guard_at as materialized (
    select migration_guard.expect_backfill(%(run)s, %(pass)s, %(after)s::text, %(end)s::text) as there
),
guard_found as materialized (
    select (select t.{key} from {table} t
             where {after} t.{key} <= %(end)s::text::{type} order by t.{key} offset %(more)s limit 1) as last_key
),
guard_span as materialized (
    select f.last_key is not null as whole, coalesce(f.last_key, %(end)s::text::{type}) as last_key,
           coalesce(f.last_key::text, %(end)s::text) as words
      from guard_found f
),
changed as (
    update {table} set {set}
     where (select there from guard_at) and {after} {key} <= (select last_key from guard_span) and ({where})
    returning ({where}) as still, not ({after} {key} <= (select last_key from guard_span)) as moved
),
counted as (
    select count(*) as rows, count(*) filter (where still) as still, count(*) filter (where moved) as moved from changed
),
kept as (
    select case when c.rows > 0 then 0 else ({kept}) end as rows from counted c
)
select s.whole, s.words, c.rows, c.still, k.rows,
       migration_guard.move_backfill(%(run)s, s.words, case when s.whole then %(more)s + 1 else greatest(c.rows, 1) end,
                                     c.rows, c.still, c.moved, k.rows)
  from counted c, guard_span s, kept k
