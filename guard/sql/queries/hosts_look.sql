-- What a host is: standby or primary, on which timeline, of which cluster, and since when its server runs.
--
-- A primary's timeline is that of the WAL file that it writes: its control file still names the old one for a while
-- after a promotion. A standby's is for people alone.
select pg_is_in_recovery(),
       case when pg_is_in_recovery()
            then (select upper(lpad(to_hex(c.timeline_id), 8, '0')) from pg_control_checkpoint() c)
            else left(pg_walfile_name(pg_current_wal_lsn()), 8) end,
       (select c.system_identifier from pg_control_system() c),
       extract(epoch from pg_postmaster_start_time())::text
