-- The first schema. Everything that people wrote, tools answered or agents said is sealed (bytea, AES-GCM);
-- hashes, classes, counters, states and names are not, so that they can be searched and proven.

create table config_version (
  sha256        text primary key,
  body          bytea not null,                 -- sealed
  applied_at    timestamptz not null,
  applied_by    text not null
);

create table task (
  id               uuid primary key,
  tenant           text not null default 'default',
  agent            text not null,
  kind             text not null check (kind in ('agent', 'undo')),
  request          bytea not null,              -- sealed: text, inputs, undo_of
  request_sha256   text not null,
  state            text not null check (state in ('queued', 'delayed', 'running', 'waiting_approval',
                     'waiting_children', 'waiting_retry', 'verifying', 'escalated', 'completed', 'failed',
                     'cancelled', 'timed_out', 'rejected')),
  state_reason     bytea not null,              -- sealed: it can quote an answer
  priority         smallint not null check (priority between 0 and 9),
  virtual_deadline integer not null check (virtual_deadline > 0),
  dedupe_key       text,
  run_no           integer not null default 1,
  segment_no       integer not null default 0,
  epoch            bigint not null default 0,
  crashes          integer not null default 0,
  worked_s         double precision not null default 0,
  cancel_requested boolean not null default false,
  tainted          boolean not null default false,
  limits           jsonb not null,
  config_sha256    text not null references config_version,
  submitted_by     text not null,
  executor_id      text,
  retry_of         uuid references task,
  result           bytea,                       -- sealed
  not_before       timestamptz,
  created_at       timestamptz not null,
  changed_at       timestamptz not null,
  started_at       timestamptz,
  finished_at      timestamptz
);
create unique index task_dedupe on task (tenant, dedupe_key)
  where dedupe_key is not null and state not in ('completed', 'failed', 'cancelled', 'timed_out', 'rejected');
create index task_state on task (state, changed_at);
create index task_listing on task (created_at desc, id desc);
create index task_executor on task (executor_id) where state in ('running', 'verifying');

create table run (
  task_id     uuid not null references task on delete cascade,
  run_no      integer not null,
  clean       boolean not null,                 -- false: inherits the history of the run before
  note        bytea,                            -- sealed: why it was started
  outcome     text,
  started_at  timestamptz not null,
  ended_at    timestamptz,
  primary key (task_id, run_no)
);

create table turn (
  task_id  uuid not null,
  run_no   integer not null,
  seq      integer not null,
  kind     text not null check (kind in ('request', 'model', 'observation', 'note')),
  body     bytea not null,                      -- sealed
  at       timestamptz not null,
  primary key (task_id, run_no, seq),
  foreign key (task_id, run_no) references run on delete cascade
);

create table call (
  id           uuid primary key,
  task_id      uuid not null,
  run_no       integer not null,
  call_no      integer not null,
  turn_seq     integer,                         -- the model's turn that asked for it; none for a check
  tool         text not null,
  args         bytea not null,                  -- sealed
  args_sha256  text not null,
  reason       bytea not null,                  -- sealed: why the agent wanted it
  state        text not null check (state in ('proposed', 'held', 'approved', 'denied', 'expired', 'started',
                 'done', 'failed', 'in_doubt')),
  epoch        bigint not null,
  class        text check (class in ('read', 'write', 'destructive')),
  egress       boolean,
  decision     text check (decision in ('allow', 'ask', 'deny')),
  rules        jsonb not null default '[]',
  reasons      jsonb not null default '[]',
  plan_entry   text,
  pin_sha256   text,
  approval_id  uuid,
  result       bytea,                           -- sealed
  before       bytea,                           -- sealed: the state to go back to
  effect       bytea,                           -- sealed: what was measured
  undo         text not null default 'none'
                 check (undo in ('none', 'restored', 'partial', 'diverged', 'impossible')),
  undo_note    bytea,                           -- sealed
  created_at   timestamptz not null,
  started_at   timestamptz,
  ended_at     timestamptz,
  unique (task_id, run_no, call_no),
  foreign key (task_id, run_no) references run on delete cascade
);
create index call_open on call (task_id) where state in ('held', 'approved', 'started', 'in_doubt');

create table approval (
  id              uuid primary key,
  task_id         uuid not null references task on delete cascade,
  call_id         uuid not null references call on delete cascade,
  state           text not null check (state in ('pending', 'approved', 'denied', 'expired', 'superseded', 'consumed')),
  binding         jsonb not null,
  binding_sha256  text not null,
  shown           bytea not null,               -- sealed
  requested_at    timestamptz not null,
  expires_at      timestamptz not null,
  decided_by      text,
  decided_at      timestamptz,
  reason          bytea                         -- sealed
);
create index approval_pending on approval (expires_at) where state = 'pending';
create unique index approval_one_open on approval (call_id) where state in ('pending', 'approved');

create table allowance (
  scope     text not null,                      -- as task:<id>, agent:<name>
  resource  text not null,                      -- calls, files, services, cost_usd
  window_at timestamptz not null default 'epoch',
  cap       double precision not null check (cap >= 0),
  reserved  double precision not null default 0 check (reserved >= 0),
  used      double precision not null default 0 check (used >= 0),
  primary key (scope, resource, window_at)
);

create table blob (
  sha256  text primary key,                     -- of the content before sealing
  size    bigint not null,
  body    bytea not null,                       -- sealed
  at      timestamptz not null
);

create table tool_pin (
  server       text not null,
  name         text not null,
  sha256       text not null,
  definition   jsonb not null,
  accepted_at  timestamptz not null,
  accepted_by  text not null,
  primary key (server, name)
);

create table executor (
  executor_id   text primary key,
  host          text not null,
  pid           integer not null,
  started_at    timestamptz not null,
  heartbeat_at  timestamptz not null,
  config_sha256 text
);

-- Parts of other schemas that were brought up to date by us, and for which version.
create table prepared_part (
  name    text primary key,
  version text not null
);

create table halt (
  scope   text primary key,                     -- all, agent:<name>, tool:<server.name>
  by      text not null,
  reason  text not null,
  at      timestamptz not null
);

create table metric_counter (
  name   text not null,
  labels jsonb not null,
  value  double precision not null,
  primary key (name, labels)
) with (fillfactor = 50);

-- The audit record. Only added to: the application's role may insert and read, nothing else. The chain is a second
-- table of the same kind, filled in order by one sequencer at a time, so that recording is no global lock.
create table audit_record (
  id      uuid primary key,
  tenant  text not null,
  at      timestamptz not null,
  event   text not null,
  task_id uuid,
  body    bytea not null                        -- RFC 8785 JSON, format version 1; never sealed: it holds no content
);
create index audit_record_task on audit_record (task_id, at) where task_id is not null;

create table audit_link (
  tenant    text not null,
  seq       bigint not null check (seq > 0),
  record_id uuid not null unique references audit_record,
  leaf      bytea not null,
  link      bytea not null,
  at        timestamptz not null,
  primary key (tenant, seq)
);

-- Records that have no place in the chain yet.
create table audit_waiting (
  record_id uuid primary key,
  tenant    text not null
);

grant usage on schema interlock to interlock_app;
grant select, insert, update, delete on all tables in schema interlock to interlock_app;
revoke update, delete, truncate on audit_record, audit_link from interlock_app;
revoke insert, update, delete on schema_migration, prepared_part from interlock_app;
