-- What was applied, one after the other: the last one is the active version. A content may be applied again.
create table config_applied (
  number      bigint primary key check (number > 0),
  sha256      text not null references config_version,
  applied_at  timestamptz not null,
  applied_by  text not null,
  pins        jsonb not null default '{}',       -- what was accepted of the tools then: {server: {tool: sha256}}
  content_of  bigint references config_applied   -- the version that was gone back to
);
grant select, insert on config_applied to interlock_app;
insert into config_applied (number, sha256, applied_at, applied_by)
  select row_number() over (order by run_at, sha256), sha256, run_at, applied_by from config_version where run_at is not null;
-- config_version.run_at is not read any more; a server of the release before may still write it.

-- What a stored content has: 2 adds playbooks, and what each machine must have.
alter table config_version add column format smallint not null default 1;

-- Why a worker takes no tasks, if it does not.
alter table executor add column idle_because text;

-- The host that a task's files are on: it runs there and nowhere else. Null: anywhere.
alter table task add column host text;
create index task_host on task (host)
  where host is not null and state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected');
-- When a worker of a host was last heard of.
create table worker_host (
  name     text primary key,
  seen_at  timestamptz not null
);
grant select, insert, update, delete on worker_host to interlock_app;
