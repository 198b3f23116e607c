-- Roles of these that this server does not have.
select role from unnest(%(roles)s::text[]) with ordinality as wanted (role, place)
 where not exists (select from pg_roles r where r.rolname = role) order by place
