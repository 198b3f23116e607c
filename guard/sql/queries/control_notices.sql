-- Notices of events that a guard wrote and, killed, may not have queued. A new journal (0) wants the last minutes only:
-- the whole past again would bury the present.
select e.payload -> 'notice' from migration_guard.event e
 where e.event_id > %(since)s and e.payload ? 'notice'
   and e.at > now() - case when %(since)s = 0 then interval '10 min' else interval '7 days' end
 order by e.event_id
