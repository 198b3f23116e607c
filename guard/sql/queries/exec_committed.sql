-- Whether one of these transactions, each of late, has not been taken back.
--
-- Sessions show 32 bits of a transaction's id; the rest is that of now, or one less where the 32 bits have turned over.
select exists (select
                 from unnest(%s::bigint[]) as x (xid),
                      lateral (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as now) n,
                      lateral (select (n.now >> 32 << 32) + x.xid as wide) w
                where pg_xact_status((case when w.wide > n.now then w.wide - (1::bigint << 32) else w.wide end)::text::xid8)
                      is distinct from 'aborted')
