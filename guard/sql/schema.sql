-- Schema migration_guard, version 2: the tables through which a guard, migrations and operators speak to each other.
-- It may be run again at any time and changes nothing then. Each row has one writer, and the guard never writes a row
-- that a client or an operator can lock: a stuck transaction of theirs cannot hold up a pause. Hence no foreign keys
-- between tables of different writers either (their check would lock the row that it refers to).
-- Tables marked /*unlogged*/ are UNLOGGED where the schema was installed with --unlogged.
-- An upgrade is this script once more: it makes what is not there yet. Where it is, it locks no table that is in use, and
-- so an index is looked for first: CREATE INDEX IF NOT EXISTS keeps writers out even of a table that has the index.

create schema if not exists migration_guard;
comment on schema migration_guard is 'The contract between a migration guard and migrations. Remove with: migration-guard uninstall';

-- Which database this schema was made in. In a restored or copied one the stamp differs, and all rows are foreign.
create /*unlogged*/ table if not exists migration_guard.installation (
    only_row          boolean primary key default true check (only_row),  -- prevents a second row
    version           integer not null,   -- of this schema
    protocol          integer not null,   -- of what guard and migrations say to each other
    system_identifier bigint  not null,   -- of the cluster
    database_oid      oid     not null,   -- of the database: a copy in the same cluster has another
    database_name     text    not null,   -- for people; a renamed database is still the same
    installed_at      timestamptz not null default clock_timestamp()
);

-- Which guard leads. The term grows with each change, and every write of a guard checks it: an old guard is fenced.
create /*unlogged*/ table if not exists migration_guard.leader (
    only_row boolean primary key default true check (only_row),           -- prevents two leaders
    term     bigint not null,
    guard_id text not null,
    pid      integer not null,            -- of the session with the leader's lock; another session may not write
    since    timestamptz not null default clock_timestamp()
);

-- The guard's word. UNLOGGED on purpose: it is empty after a crash or a promotion, unreadable on a standby and in no
-- publication, and empty means lost. No index but the key: updates stay in the page (HOT) and cost some 50 bytes of WAL.
create unlogged table if not exists migration_guard.lease (
    only_row          boolean primary key default true check (only_row),  -- prevents two leases
    guard_id          text not null,
    term              bigint not null,
    epoch             bigint not null,    -- grows with each change of the orders
    beat              bigint not null,
    beat_at           timestamptz not null,
    lease_until       timestamptz not null,
    timeline          text not null check (timeline ~ '^[0-9A-F]{8}$'),
    system_identifier bigint not null,
    protocol          integer not null,
    mode              text not null check (mode in ('live', 'dormant', 'observing', 'released')),
    orders            jsonb not null check (jsonb_typeof(orders) = 'object')
        -- {"NAME": {"kind": "proceed|pause|abort", "because": "...", "since": unix seconds}}
);

-- What people ordered. It is never changed but for its withdrawal.
create /*unlogged*/ table if not exists migration_guard.operator_order (
    order_id     bigint generated always as identity primary key,
    kind         text not null check (kind in ('pause', 'abort', 'override', 'mute')),
    migration    text not null check (length(migration) between 1 and 200),  -- '*' means all
    rule         text check ((rule is not null) = (kind = 'mute')),          -- prevents a mute of nothing
    owner        text not null check (owner <> ''),                          -- prevents an order by nobody
    reason       text not null default '',
    created_at   timestamptz not null default clock_timestamp(),
    expires_at   timestamptz,
    withdrawn_at timestamptz,
    withdrawn_by text,
    check ((withdrawn_at is null) = (withdrawn_by is null))
);
-- Keeps the look before each batch short however many orders the past holds.
do $$ begin
    if pg_catalog.to_regclass('migration_guard.operator_order_standing') is null then
        create index operator_order_standing on migration_guard.operator_order (migration) where withdrawn_at is null;
    end if;
end $$;

-- One row for each execution of a migration; written by its own session through the functions below.
create /*unlogged*/ table if not exists migration_guard.run (
    run_id             bigint generated always as identity primary key,
    migration          text not null check (migration <> '*' and length(migration) between 1 and 200),
    pid                integer not null,
    backend_start      timestamptz,       -- with the pid: tells the session from a later one with the same pid
    usename            text not null,
    application_name   text not null default '',
    registered_at      timestamptz not null default clock_timestamp(),
    last_seen          timestamptz not null default clock_timestamp(),
    rows_done          bigint not null default 0,
    batches_done       bigint not null default 0,
    note               text not null default '',
    acknowledged_epoch bigint not null default 0,
    acknowledged_at    timestamptz,
    outcome            text check (outcome in ('done', 'failed', 'aborted', 'gone')),
    outcome_detail     text,
    ended_at           timestamptz,
    on_guard_lost      text not null default 'wait' check (on_guard_lost in ('wait', 'proceed', 'fail')),
    pooled             boolean not null default false,  -- behind a transaction pooler: the session is not its own
    exclusive          boolean not null default true,
    protocol           integer not null default 1,
    check ((outcome is null) = (ended_at is null))
);
do $$ begin
    if pg_catalog.to_regclass('migration_guard.run_open') is null then
        create index run_open on migration_guard.run (migration) where ended_at is null;
    end if;
end $$;

-- Since version 2. Sections in which a run must not be cancelled, as its own session declared them; one a run. No columns of
-- `run`: to add those would wait for each batch that has read its run, and everybody would wait behind that. UNLOGGED on
-- purpose: a crash or a promotion ends all sessions, and their fences with them.
create unlogged table if not exists migration_guard.fence (
    run_id bigint primary key,
    what   text not null check (length(what) between 1 and 200),
    since  timestamptz not null,
    until  timestamptz not null check (until > since)   -- the server's clock; what is over time is no fence
);

-- Since version 2. How far each backfill is, by name: written in the transaction of each batch, so that who comes next
-- goes on exactly there. The cursor is a value of the table's key: only its own functions read it.
create /*unlogged*/ table if not exists migration_guard.backfill (
    migration    text primary key check (length(migration) between 1 and 200),
    table_name   text not null,
    key_column   text not null,
    fingerprint  text not null,           -- of what it does: a changed definition may not go on in the middle
    owner        text not null,           -- the role that began it
    pass         integer not null default 0,
    last_key     text,                    -- of this pass: done up to here; null before its first batch
    end_key      text,                    -- of this pass: what is beyond came after it began
    keys_done    bigint not null default 0,   -- looked at in this pass
    pass_rows    bigint not null default 0,   -- changed in this pass, or found to match and kept
    rows_done    bigint not null default 0,
    rows_still   bigint not null default 0,   -- of those, how many match the condition as before
    batches_done bigint not null default 0,
    started_at   timestamptz not null default clock_timestamp(),
    moved_at     timestamptz not null default clock_timestamp(),
    finished_at  timestamptz
);

-- The guard has seen every rule fresh, or settled in its silence, and let the run begin.
create /*unlogged*/ table if not exists migration_guard.admission (
    run_id    bigint primary key,
    migration text not null,
    at        timestamptz not null default clock_timestamp(),
    epoch     bigint not null,
    term      bigint not null,
    mode      text not null check (mode in ('live', 'observing'))
);

-- Runs after which the migration may not go on until a person forgets them.
create /*unlogged*/ table if not exists migration_guard.barred (
    run_id    bigint primary key,
    migration text not null,
    because   text not null,
    at        timestamptz not null default clock_timestamp()
);
do $$ begin  -- looked at before each batch
    if pg_catalog.to_regclass('migration_guard.barred_migration') is null then
        create index barred_migration on migration_guard.barred (migration);
    end if;
end $$;

-- The operator's word that all is forgiven up to this run.
create /*unlogged*/ table if not exists migration_guard.forgotten (
    migration   text not null,
    upto_run_id bigint not null,
    owner       text not null check (owner <> ''),
    at          timestamptz not null default clock_timestamp()
);
do $$ begin
    if pg_catalog.to_regclass('migration_guard.forgotten_migration') is null then
        create index forgotten_migration on migration_guard.forgotten (migration);
    end if;
end $$;

-- The claim to the one rollback of a run: the key prevents a second. A start without an end is a question to a human.
create /*unlogged*/ table if not exists migration_guard.rollback (
    run_id      bigint primary key,
    migration   text not null,
    claimed_at  timestamptz not null default clock_timestamp(),
    term        bigint not null,
    because     text not null,
    command     text[] not null,
    finished_at timestamptz,
    outcome     text,
    detail      text,
    check ((finished_at is null) = (outcome is null))
);

-- What status and explain read: written on change, so that the beaten row stays small.
create /*unlogged*/ table if not exists migration_guard.report (
    only_row boolean primary key default true check (only_row),           -- prevents two reports
    report   jsonb not null,
    at       timestamptz not null default clock_timestamp()
);

-- The audit trail: only ever added to by the guard, and cut by age.
create /*unlogged*/ table if not exists migration_guard.event (
    event_id  bigint generated always as identity primary key,
    at        timestamptz not null default clock_timestamp(),
    kind      text not null,
    migration text not null,
    run_id    bigint,
    because   text not null,
    phase     text not null,
    epoch     bigint not null,
    term      bigint not null,
    guard_id  text not null,
    payload   jsonb not null default '{}'
);
-- A guard that starts looks for the last state of each run without reading the whole trail.
do $$ begin
    if pg_catalog.to_regclass('migration_guard.event_state') is null then
        create index event_state on migration_guard.event (migration, run_id, event_id) where payload ? 'state';
    end if;
end $$;

-- Ids never come twice, not even after uninstall and install: the daemon's journal and the hook's state files outlive the
-- schema, and "run 7 was rolled back" must not be read of another run 7. So they begin at the minutes since 2020.
select pg_catalog.setval('migration_guard.run_run_id_seq', extract(epoch from now())::bigint / 60 - 26297280, false)
    from migration_guard.run_run_id_seq where not is_called and last_value = 1;
select pg_catalog.setval('migration_guard.event_event_id_seq', extract(epoch from now())::bigint / 60 - 26297280, false)
    from migration_guard.event_event_id_seq where not is_called and last_value = 1;
