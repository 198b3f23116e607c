-- Part of a batch that changed nothing: whether a row matches all the same (1), kept as it is by a trigger or a policy.
select count(*) from (
    select from {table} where {after} {key} <= (select last_key from guard_span) and ({where}) limit 1) one
