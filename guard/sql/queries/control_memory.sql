-- What a guard that begins to lead takes up: the greatest epoch that anybody has seen, the last event, and the server's
-- clock.
select greatest((select e.epoch from migration_guard.event e order by e.event_id desc limit 1),
                (select l.epoch from migration_guard.lease l),
                (select max(r.acknowledged_epoch) from migration_guard.run r),
                (select max(a.epoch) from migration_guard.admission a), 0),
       coalesce((select max(e.event_id) from migration_guard.event e), 0),
       extract(epoch from clock_timestamp())::float8
