-- One batch: what matches in a range of keys is changed. How many rows that were, how many of them match as before, and
-- how many have left the range, which a key must not.
with changed as (
    update {table} set {set}
     where {after} {key} <= %(upto)s::{type} and ({where})
    returning ({where}) as still, not ({after} {key} <= %(upto)s::{type}) as moved
)
select count(*), count(*) filter (where still), count(*) filter (where moved) from changed
