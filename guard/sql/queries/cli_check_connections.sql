-- How many connections a server has for everybody, and how many are taken; the one that asks is not counted.
select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
       (select coalesce(sum(numbackends), 0)::int from pg_stat_database) - 1 as taken
