-- A table by its name with schema; NULL where there is none.
select to_regclass(%s)::oid
