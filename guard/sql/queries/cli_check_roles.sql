-- The roles by which sessions of a migration are recognised: does each exist, and may the guard cancel its queries?
select wanted.name, r.oid is not null as there, coalesce(r.rolsuper, false) as superuser,
       coalesce(pg_has_role(current_user, r.oid, 'usage'), false) as member
  from unnest(%(roles)s::text[]) as wanted (name)
  left join pg_roles r on r.rolname = wanted.name
 order by wanted.name
