-- What is known of each schedule of the configuration. Its row is locked by whoever carries out a tick.
create table schedule (
  name       text primary key,
  timing     text not null,                      -- hash of when it is due; another one begins anew
  paused_by  text,
  seen_at    timestamptz not null,               -- ticks up to here are carried out, or will never be
  last_tick  timestamptz,
  last_task  uuid references task on delete set null,
  waiting    timestamptz[] not null default '{}', -- ticks that wait for the last task to be done
  fired      bigint not null default 0,
  skipped    bigint not null default 0,
  note       text not null default '',           -- what happened last that is worth a look
  changed_at timestamptz not null
);
grant select, insert, update, delete on schedule to interlock_app;

-- When a control plane began to run a version: only what began last has its schedules carried out.
alter table config_version add column run_at timestamptz;
