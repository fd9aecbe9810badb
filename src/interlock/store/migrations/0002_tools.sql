-- What the protection of tools needs to hold over all workers, and what gives outside agents a way in.

-- The host whose tool servers were given a call: only there can it be found out what became of it.
alter table call add column host text;
-- The tool that stood in for the one that was asked for.
alter table call add column served_by text;

-- An agent outside has not heard what became of the call: the same call made again is that call, and no new one.
alter table call add column untold boolean not null default false;
-- Tasks whose agent runs outside, and calls tools through the gateway.
alter table task drop constraint task_kind_check, add constraint task_kind_check
  check (kind in ('agent', 'undo', 'outside'));

-- Token buckets: `tokens` is what was there at `at`; it refills by itself.
create table rate_bucket (
  key     text primary key,                     -- as tool:<server.name>, agent:<name>
  tokens  double precision not null,
  at      timestamptz not null
);

-- Circuit breakers by (server, tool); no row means closed.
create table breaker (
  key         text primary key,                 -- as tool:<server.name>
  failures    integer not null,                 -- in a row
  opened_at   timestamptz,                      -- null: closed
  opened_for_s double precision not null default 0,
  probe_until timestamptz,                      -- while one call tries whether it works again
  reason      text not null default ''
);

-- Results of reads that may be used again.
create table cached_read (
  key         text primary key,                 -- hash over agent, tool, pin and arguments
  server      text not null,
  result      bytea not null,                   -- sealed
  read_at     timestamptz not null,             -- when the read was begun
  expires_at  timestamptz not null
);
create index cached_read_expiry on cached_read (expires_at);

-- When something was last changed at a server: what was read before that is not used again.
create table server_changed (
  server      text primary key,
  at          timestamptz not null
);

-- What a server offered when it was last looked at, for those tools that are not the accepted ones.
create table tool_sighting (
  server      text not null,
  name        text not null,
  sha256      text not null,
  definition  jsonb not null,
  kind        text not null check (kind in ('new', 'changed', 'missing')),
  seen_at     timestamptz not null,             -- first seen like this
  primary key (server, name)
);

-- Tokens of remote servers (OAuth), sealed.
create table server_credential (
  server      text primary key,
  body        bytea not null,
  changed_at  timestamptz not null
);

-- Bearer tokens of outside agents; only their hashes are kept.
create table agent_token (
  id          text primary key,
  sha256      text not null unique,
  agent       text not null,
  task_id     uuid references task on delete cascade,   -- null: for the agent, whatever the task
  created_at  timestamptz not null,
  created_by  text not null,
  expires_at  timestamptz,
  used_at     timestamptz,
  revoked_at  timestamptz
);

grant select, insert, update, delete on rate_bucket, breaker, cached_read, server_changed, tool_sighting,
  server_credential, agent_token to interlock_app;
